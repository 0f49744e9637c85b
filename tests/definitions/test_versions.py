"""A version is never changed: what is declared differently becomes the next one (decision 8)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from engine.definitions import versions
from engine.definitions.datamart import Compartment, Datamart
from engine.definitions.versions import latest_versions, reconcile_datamarts
from engine.model.channel import ChannelSettings
from tests.definitions.tokens import counting_keys, counting_tokens

KEY = "5c6b1c6e-6a55-4b7c-9a15-0d8f0f3a9d11"
SITE = ChannelSettings(datamart=1, kind="SITE", id="1", token="given", tracker_key=KEY)


def reconcile(stored, declared, new_token=None):
    return versions.reconcile(
        stored, declared, new_token=new_token or counting_tokens(), new_tracker_key=counting_keys()
    )


def test_a_new_channel_is_version_one_with_a_token():
    bare = structs.replace(SITE, token="", version=7)
    assert reconcile([], [SITE, bare]) == [
        SITE,
        structs.replace(bare, token="token-1", version=1),
    ]


def test_what_is_declared_as_before_needs_no_version():
    assert reconcile([SITE], [SITE]) == []
    assert reconcile([SITE], [structs.replace(SITE, token="", version=3)]) == []


def test_a_change_is_the_version_after_the_latest():
    stored = [SITE, structs.replace(SITE, gap_ms=1, version=2)]
    assert reconcile(reversed(stored), [SITE]) == [structs.replace(SITE, version=3)]
    assert reconcile(stored, [structs.replace(SITE, token="other", gap_ms=1)]) == [
        structs.replace(SITE, token="other", gap_ms=1, version=3)
    ]


def test_a_site_and_an_application_of_one_id_are_two_channels():
    app = structs.replace(SITE, kind="MOBILE_APPLICATION")
    assert reconcile([SITE], [app]) == [app]
    elsewhere = structs.replace(SITE, datamart=2)
    assert reconcile([SITE], [elsewhere]) == [elsewhere]


def test_a_channel_that_is_not_declared_stays_as_it_is():
    assert reconcile([SITE], []) == []


def test_a_datamart_keeps_its_token_and_is_replaced_when_changed():
    stored = [Datamart(id=1, token="kept")]
    tokens = counting_tokens()
    assert reconcile_datamarts(stored, [Datamart(id=1)], new_token=tokens) == []
    assert reconcile_datamarts(stored, [Datamart(id=1, name="x"), Datamart(id=2)], new_token=tokens) == [
        Datamart(id=1, name="x", token="kept"),
        Datamart(id=2, token="token-1"),
    ]


def test_a_channel_without_a_tracker_key_gets_one_and_keeps_it():
    bare = structs.replace(SITE, tracker_key="")
    (first,) = reconcile([], [bare])
    assert (first.version, first.tracker_key) == (1, counting_keys()())
    assert reconcile([first], [bare]) == []
    assert reconcile([first], [SITE]) == [structs.replace(SITE, version=2)]


def test_a_version_from_before_there_were_tracker_keys_stays_as_it_is():
    old = structs.replace(SITE, tracker_key="")
    (found,) = reconcile([old], [old])
    assert found == structs.replace(old, version=2, tracker_key=counting_keys()())
    assert reconcile([old, found], [old]) == []


def test_compartments_have_tokens_that_come_back_with_them():
    def start(stored, *compartments):
        (found,) = reconcile_datamarts(
            [stored] if stored else [], [Datamart(id=1, compartments=compartments)], new_token=tokens
        ) or [stored]
        return found

    tokens = counting_tokens()
    b, a = Compartment(id="b", token="given"), Compartment(id="a")
    first = start(None, b, a)
    assert first.compartments == (Compartment(id="a", token="token-2"), b)
    assert start(first, a, b) is first, "another order is no change"
    without = start(first, b)
    assert without.compartments == (Compartment(id="a", token="token-2", removed=True), b)
    assert start(without, structs.replace(a, name="n"), b).compartments == (
        Compartment(id="a", token="token-2", name="n"),
        b,
    )


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
        changed = reconcile(stored.values(), declared, new_token)
        for one in changed:
            assert (one.datamart, one.key, one.version) not in stored, "a version is never written again"
            stored[one.datamart, one.key, one.version] = one
            assert first_token.setdefault((one.datamart, one.key), one.token) == one.token
        latest = latest_versions(stored.values())
        for one in declared:
            kept = latest[one.datamart, one.key]
            assert structs.replace(kept, token="", tracker_key="", version=1) == one
        assert not reconcile(stored.values(), declared, new_token)
    for datamart, key, version in stored:
        assert version == 1 or (datamart, key, version - 1) in stored
