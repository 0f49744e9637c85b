"""A version is never changed: what is declared differently becomes the next one (decision 8)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from engine.definitions.datamart import Datamart
from engine.definitions.versions import latest_versions, reconcile, reconcile_datamarts
from engine.model.channel import ChannelSettings
from tests.definitions.tokens import counting_tokens

SITE = ChannelSettings(datamart=1, kind="SITE", id="1", token="given")


def test_a_new_channel_is_version_one_with_a_token():
    bare = structs.replace(SITE, token="", version=7)
    assert reconcile([], [SITE, bare], new_token=counting_tokens()) == [
        SITE,
        structs.replace(bare, token="token-1", version=1),
    ]


def test_what_is_declared_as_before_needs_no_version():
    assert reconcile([SITE], [SITE], new_token=counting_tokens()) == []
    assert reconcile([SITE], [structs.replace(SITE, token="", version=3)], new_token=counting_tokens()) == []


def test_a_change_is_the_version_after_the_latest():
    stored = [SITE, structs.replace(SITE, gap_ms=1, version=2)]
    assert reconcile(reversed(stored), [SITE], new_token=counting_tokens()) == [structs.replace(SITE, version=3)]
    assert reconcile(stored, [structs.replace(SITE, token="other", gap_ms=1)], new_token=counting_tokens()) == [
        structs.replace(SITE, token="other", gap_ms=1, version=3)
    ]


def test_a_site_and_an_application_of_one_id_are_two_channels():
    app = structs.replace(SITE, kind="MOBILE_APPLICATION")
    assert reconcile([SITE], [app], new_token=counting_tokens()) == [app]
    elsewhere = structs.replace(SITE, datamart=2)
    assert reconcile([SITE], [elsewhere], new_token=counting_tokens()) == [elsewhere]


def test_a_channel_that_is_not_declared_stays_as_it_is():
    assert reconcile([SITE], [], new_token=counting_tokens()) == []


def test_a_datamart_keeps_its_token_and_is_replaced_when_changed():
    stored = [Datamart(id=1, token="kept")]
    tokens = counting_tokens()
    assert reconcile_datamarts(stored, [Datamart(id=1)], new_token=tokens) == []
    assert reconcile_datamarts(stored, [Datamart(id=1, name="x"), Datamart(id=2)], new_token=tokens) == [
        Datamart(id=1, name="x", token="kept"),
        Datamart(id=2, token="token-1"),
    ]


DECLARED = st.dictionaries(
    st.tuples(st.integers(1, 2), st.sampled_from(["SITE", "MOBILE_APPLICATION"]), st.sampled_from("ab")),
    st.builds(dict, gap_ms=st.integers(1, 3), domain=st.sampled_from(["", "x.org"])),
).map(
    lambda rows: [
        ChannelSettings(datamart=datamart, kind=kind, id=id, **rest) for (datamart, kind, id), rest in rows.items()
    ]
)


@pytest.mark.slow
@given(st.lists(DECLARED, max_size=6))
def test_whatever_is_declared_over_the_years_every_version_stays_and_the_latest_is_what_is_declared(years):
    stored: dict[tuple[int, str, int], ChannelSettings] = {}
    new_token = counting_tokens()
    first_token: dict[tuple[int, str], str] = {}
    for declared in years:
        changed = reconcile(stored.values(), declared, new_token=new_token)
        for one in changed:
            assert (one.datamart, one.key, one.version) not in stored, "a version is never written again"
            stored[one.datamart, one.key, one.version] = one
            assert first_token.setdefault((one.datamart, one.key), one.token) == one.token
        latest = latest_versions(stored.values())
        for one in declared:
            kept = latest[one.datamart, one.key]
            assert structs.replace(kept, token="", version=1) == one
        assert not reconcile(stored.values(), declared, new_token=new_token)
    for datamart, key, version in stored:
        assert version == 1 or (datamart, key, version - 1) in stored
