"""What is known of applications comes back as it was, and of two user points becomes one (decisions 3 and 14)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.model.app_state import (
    FORMAT,
    MAX_DERIVED,
    AppState,
    Derived,
    Opened,
    Versions,
    bounded,
    combine,
    decode_apps,
    encode_apps,
)

TEXTS = st.text("12.", max_size=3)
OPENED = st.builds(Opened, st.integers(0, 9), st.builds(Versions, TEXTS, TEXTS, TEXTS))
DERIVED = st.builds(Derived, st.integers(0, 9), st.binary(min_size=16, max_size=16), st.booleans(), st.none() | OPENED)
STATES = st.lists(DERIVED, max_size=3).map(lambda all: tuple(sorted(all, key=lambda one: one.ts_ms)))
APPS = st.dictionaries(st.sampled_from("abc"), st.tuples(st.none() | OPENED, STATES), max_size=3).map(
    lambda found: {app: AppState(app, *parts) for app, parts in found.items()}
)


@given(APPS)
def test_applications_come_back_as_they_were(apps):
    stored = encode_apps(apps)
    assert stored[0] == FORMAT
    assert decode_apps(stored) == apps
    assert encode_apps(dict(reversed(apps.items()))) == stored, "the same are the same bytes"


def test_where_nothing_is_stored_nothing_is_known():
    assert decode_apps(None) == {}


@pytest.mark.parametrize("damaged", [b"", b"\x07", b"\x01", b"\x01\xc1", b"\x01\x91\x01"])
def test_what_is_damaged_is_refused(damaged):
    with pytest.raises(ValueError, match="application states"):
        decode_apps(damaged)


@given(APPS, APPS)
def test_combined_is_what_either_knows_and_again_changes_nothing(apps, others):
    both = combine(apps, others)
    assert both.keys() == apps.keys() | others.keys()
    assert combine(both, others) == both
    for app, one in both.items():
        known = [found[app] for found in (apps, others) if app in found]
        assert {*one.derived} <= {derived for state in known for derived in state.derived}
        times = [state.opened.ts_ms for state in known if state.opened]
        assert (one.opened.ts_ms if one.opened else None) == max(times, default=None)


@given(st.lists(DERIVED, max_size=3 * MAX_DERIVED))
def test_the_first_and_the_latest_are_remembered(derived):
    kept = bounded(derived)
    assert len(kept) == min(len(derived), MAX_DERIVED)
    if derived:
        assert (kept[0], kept[-1]) == (derived[0], derived[-1])
        assert list(kept[1:]) == derived[1:][-(MAX_DERIVED - 1) :]
