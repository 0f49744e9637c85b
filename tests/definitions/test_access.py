"""Who may do what with which token (decision 39)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.definitions.access import (
    MAX_TOKEN_CHARS,
    Access,
    ApiToken,
    FirstToken,
    Keyring,
    Scope,
    first_token,
    hash_token,
    parse_authorization,
)
from engine.definitions.datamart import Datamart
from engine.definitions.registry import Registry
from engine.model.channel import ChannelSettings
from tests.definitions.tokens import counting_tokens


def api_token(token: str, *scopes: Scope, datamart: int | None = None, name: str = "") -> ApiToken:
    return ApiToken(hash=hash_token(token), name=name or token, scopes=scopes, datamart=datamart)


KEYRING = Keyring(
    [
        api_token("root", Scope.ADMIN),
        api_token("admin-1", Scope.ADMIN, datamart=1),
        api_token("reader", Scope.READ, datamart=1),
        api_token("feeder", Scope.COLLECT),
        api_token("both", Scope.COLLECT, Scope.READ, datamart=2),
    ],
    Registry(
        [Datamart(id=1, token="public-dm"), Datamart(id=2, token="closed-dm")],
        [ChannelSettings(datamart=1, kind="SITE", id="1", token="public-site")],
        open_datamarts={1},
        open_channels=[(1, "site:1")],
    ),
)


@pytest.mark.parametrize(
    ("token", "allowed"),
    [
        ("root", {"collect 1", "read 1", "admin 1", "collect 2", "read 2", "admin 2"}),
        ("admin-1", {"collect 1", "read 1", "admin 1"}),
        ("reader", {"read 1"}),
        ("feeder", {"collect 1", "collect 2"}),
        ("both", {"collect 2", "read 2"}),
        ("public-dm", {"collect 1"}),
        ("public-site", {"collect 1"}),
        ("closed-dm", set()),
        ("", set()),
        ("nobody", set()),
        ("roo", set()),
        ("root ", set()),
    ],
)
def test_what_a_token_allows(token, allowed):
    for scope in Scope:
        for datamart in (1, 2):
            access = KEYRING.authorize(token, scope=scope, datamart=datamart)
            assert (access is not None) == (f"{scope} {datamart}" in allowed)
            assert KEYRING.authorize(token, scope=str(scope), datamart=datamart) == access


def test_what_concerns_all_datamarts_needs_a_token_for_all():
    assert KEYRING.authorize("root", scope="admin", datamart=None)
    assert not KEYRING.authorize("admin-1", scope="admin", datamart=None)


def test_a_scope_nobody_knows_is_allowed_to_nobody():
    assert not KEYRING.authorize("root", scope="erase", datamart=1)


def test_access_names_its_caller():
    assert KEYRING.find("reader") == Access("reader", (Scope.READ,), 1)
    assert KEYRING.find("public-site") == Access("public:1/site:1", (Scope.COLLECT,), 1, "site:1")
    assert KEYRING.find("public-dm") == Access("public:1/", (Scope.COLLECT,), 1)
    assert KEYRING.find("x" * (MAX_TOKEN_CHARS + 1)) is None


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("abc", "abc"),
        ("  abc ", "abc"),
        ("api:abc", "abc"),
        ("Bearer abc", "abc"),
        ("bearer   abc", "abc"),
        ("a.b~c+/=-_", "a.b~c+/=-_"),
        ("", None),
        ("api:", None),
        ("Basic YTpi", None),
        ("Bearer a b", None),
        ("tök", None),
        ("a\x00b", None),
        ("a\tb", None),
        ("x" * 513, None),
    ],
)
def test_the_forms_of_the_header(header, token):
    assert parse_authorization(header) == token


@given(st.text())
def test_any_header_is_read(header):
    token = parse_authorization(header)
    assert token is None or (token in header and token and " " not in token and token.isascii())


@given(st.text("ab", max_size=4), st.sets(st.text("ab", min_size=1, max_size=4)))
def test_exactly_the_tokens_themselves_are_known(asked, given_out):
    keyring = Keyring([api_token(one, Scope.READ) for one in given_out], Registry())
    found = keyring.find(asked)
    assert (found.name if found else None) == (asked if asked in given_out else None)


def test_the_first_start_makes_an_admin_token_and_shows_it_once():
    made = first_token([], "", new_token=counting_tokens(), created_ms=5)
    assert made.show == "token-1"
    assert made.save == ApiToken(hash=hash_token("token-1"), name="first", scopes=(Scope.ADMIN,), created_ms=5)
    assert first_token([made.save], "", new_token=counting_tokens(), created_ms=6) == FirstToken()


def test_a_given_admin_token_is_not_shown_and_replaces_the_one_before():
    kept = first_token([], "one", new_token=counting_tokens(), created_ms=5)
    assert kept.show is None
    assert first_token([kept.save], "one", new_token=counting_tokens(), created_ms=6) == FirstToken()
    other = api_token("else", Scope.ADMIN, name="made by people")
    changed = first_token([kept.save, other], "two", new_token=counting_tokens(), created_ms=6)
    assert changed.save.hash == hash_token("two")
    assert changed.remove == (kept.save,)


def test_only_an_admin_of_everything_counts_as_the_first():
    lesser = [api_token("a", Scope.ADMIN, datamart=1), api_token("b", Scope.READ)]
    assert first_token(lesser, "", new_token=counting_tokens(), created_ms=5).show == "token-1"
