"""Touches: which activities are some, how many are kept, which one a conversion is attributed to (7.4)."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from engine.model.touches import (
    MAX_AGE_MS,
    MAX_CONVERSIONS,
    MAX_ORIGIN_BYTES,
    MAX_TOUCHES,
    NONE,
    Conversion,
    Touch,
    Touches,
    combine,
    decode_touches,
    encode_touches,
    last_touch,
    touch_of,
    with_conversions,
    with_touch,
)
from tests.pipeline.people import NOON, activity, event
from tests.session.build import dump

ORIGIN = {"$channel": "email", "$campaign_id": 7}
DAY = 24 * 3600 * 1000


def touch(ts_ms, key=None, *, click=True):
    key = ts_ms if key is None else key
    return Touch(ts_ms, ts_ms, key.to_bytes(16, "big"), "DISPLAY_AD", click, b"")


TOUCHES = st.lists(
    st.builds(touch, st.integers(0, 3 * MAX_AGE_MS), st.integers(0, 2**64), click=st.booleans()),
    max_size=12,
    unique_by=lambda one: one.unique_key,
)


@pytest.mark.parametrize(
    ("made", "is_click", "at"),
    [
        (activity(event(5, "$ad_click"), type="DISPLAY_AD"), True, 5),
        (activity(event(5, "$ad_view"), type="DISPLAY_AD"), False, 5),
        (activity(event(5, "$email_click"), type="EMAIL"), True, 5),
        (activity(event(5, "$email_view"), type="EMAIL"), False, 5),
        (activity(event(1, "$ad_view"), event(3, "$ad_click"), event(5, "$ad_view"), type="DISPLAY_AD"), True, 3),
        (activity(event(5), event(7), origin=ORIGIN), True, 5),
        (activity(event(5), type="APP_VISIT", origin=ORIGIN), True, 5),
    ],
)
def test_7_4_which_activities_are_touches(made, is_click, at):
    found = touch_of(made)
    assert (found.is_click, found.ts_ms - NOON, found.type) == (is_click, at, made.type)
    assert (found.activity_ms, found.unique_key) == (made.ts_ms, made.unique_key.bytes)


@pytest.mark.parametrize(
    "made",
    [
        activity(event()),  # A direct visit.
        activity(event(0, "$ad_click")),
        activity(event(0, "$ad_click"), type="TOUCH", origin=ORIGIN),
        activity(event(0, "$email_sent"), type="EMAIL", origin=ORIGIN),
        activity(type="DISPLAY_AD"),
        activity(event(), type="USER_SCENARIO_START", origin=ORIGIN),
    ],
)
def test_7_4_others_are_none(made):
    assert touch_of(made) is None


def test_the_origin_of_a_touch_is_bounded():
    assert touch_of(activity(event(), origin=ORIGIN)).origin == dump(ORIGIN)
    long = {"$channel": "referral", "$referral_path": "x" * MAX_ORIGIN_BYTES, "$source": "é" * 20}
    kept = touch_of(activity(event(), origin=long)).origin
    assert json.loads(kept) == {"$channel": "referral", "$source": "é" * 20}
    many = touch_of(activity(event(), origin={f"k{number}": "é" * 20 for number in range(99)})).origin
    assert len(many) <= MAX_ORIGIN_BYTES


@given(TOUCHES, st.randoms(use_true_random=False))
def test_the_same_touches_in_any_order_leave_the_same(touches, random):
    def of(some):
        known = NONE
        for one in some:
            known = with_touch(known, one)
        return known

    shuffled = list(touches)
    random.shuffle(shuffled)
    known = of(touches)
    assert of(shuffled) == known
    assert of((*touches, *shuffled)) == known, "the same activity stored twice is one touch"
    half = len(touches) // 2
    assert combine(of(touches[:half]), of(touches[half:])) == known
    assert combine(of(touches[half:]), of(touches[:half])) == known


def test_touches_are_bounded_in_number_and_age():
    known = NONE
    for at in range(MAX_TOUCHES + 5):
        known = with_touch(known, touch(at))
    assert [one.ts_ms for one in known.touches] == list(range(5, MAX_TOUCHES + 5))
    known = with_touch(known, touch(MAX_AGE_MS + 10))
    assert known.touches[0].ts_ms == 10
    for at in range(MAX_CONVERSIONS + 3):
        known = with_conversions(known, [Conversion(at, at.to_bytes(16, "big"), None)])
    assert [one.ts_ms for one in known.conversions] == list(range(3, MAX_CONVERSIONS + 3))
    assert len(encode_touches(known)) < 64 << 10


def test_a_replaced_activity_is_one_touch():
    view, click = touch(5, 1, click=False), touch(5, 1)
    assert with_touch(with_touch(NONE, view), click) == Touches((click,))


@pytest.mark.parametrize(
    ("at", "clicks_ms", "views_ms", "expected"),
    [
        (100, 100, 100, 70),  # The last click, although a view came later.
        (100, 20, 100, 90),  # No click within its window: the last view.
        (100, 30, 100, 70),  # The window's edge is in it.
        (100, 29, 0, None),
        (100, 0, 0, None),
        (100, 0, 10, 90),
        (60, 100, 100, 40),  # What came after it counts for nothing.
        (70, 100, 0, 70),  # What came at the same time does.
        (30, 100, 0, None),
    ],
)
def test_7_4_the_last_touch_within_its_window(at, clicks_ms, views_ms, expected):
    touches = [touch(90, click=False), touch(40), touch(70), touch(35, click=False)]
    found = last_touch(touches, at, clicks_ms, views_ms)
    assert (found.ts_ms if found else None) == expected


@given(TOUCHES, st.lists(st.builds(Conversion, st.integers(0, 9), st.binary(min_size=16, max_size=16), st.none())))
def test_they_come_back_as_they_were(touches, conversions):
    known = Touches(tuple(touches), tuple(conversions))
    assert decode_touches(encode_touches(known)) == known
    assert decode_touches(None) == NONE


@pytest.mark.parametrize("damaged", [b"", b"\x07", b"\x01", b"\x01\xc1", b"\x01\x91\x01"])
def test_what_is_damaged_is_refused(damaged):
    with pytest.raises(ValueError, match="touches"):
        decode_touches(damaged)


def test_combined_knows_what_either_counted():
    one, other = (with_conversions(NONE, [Conversion(at, bytes(15) + bytes((at,)), None)]) for at in (1, 2))
    both = combine(one, other)
    assert [found.ts_ms for found in both.conversions] == [1, 2]
    assert combine(both, other) == both
    assert structs.replace(both) == both
