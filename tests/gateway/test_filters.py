"""The `filters` parameter: what it means, what is refused, and that any value can be asked for."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import Condition, Filters
from gateway.api.filters import MAX_CONDITIONS, MAX_VALUES, escape, parse_filters
from gateway.errors import RequestError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Filters()),
        (
            "$type==SITE_VISIT|APP_VISIT,$channel_id==1268,start_ts==1700000000000",
            Filters(
                (Condition("$type", ("SITE_VISIT", "APP_VISIT")), Condition("$channel_id", ("1268",))),
                start_ms=1_700_000_000_000,
            ),
        ),
        ("end_ts==5", Filters(end_ms=5)),
        ("a==", Filters((Condition("a", ("",)),))),
        ("a==1|", Filters((Condition("a", ("1", "")),))),
        ("url==http://x/?a=b==c", Filters((Condition("url", ("http://x/?a=b==c",)),))),
        ("a===b", Filters((Condition("a", ("=b",)),))),
        (r"name==Smith\, Jones\|Sons", Filters((Condition("name", ("Smith, Jones|Sons",)),))),
        (r"a\=b==\\", Filters((Condition("a=b", ("\\",)),))),
        ("a==1,a==2", Filters((Condition("a", ("1",)), Condition("a", ("2",))))),
    ],
)
def test_what_a_filter_means(text: str, expected: Filters):
    assert parse_filters(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("a", "a=b", "==b", ",", "a==1,", ",a==1", "a==1,b", "a|b==1", "a==1\\", "\\"),
        *("start_ts==", "start_ts==x", "start_ts==-1", "start_ts==1|2", "start_ts==1.5", "start_ts==٣", "end_ts==1 "),
        *("start_ts==99999999999999999999", "end_ts==9223372036854775808", "end_ts==1,end_ts==2"),
        ",".join("a==1" for _ in range(MAX_CONDITIONS + 1)),
        "a==" + "|".join("1" for _ in range(MAX_VALUES + 1)),
    ],
)
def test_what_is_no_filter_is_refused(text: str):
    with pytest.raises(RequestError) as caught:
        parse_filters(text)
    assert (caught.value.status, caught.value.code, caught.value.path) == (400, "bad_filter", "filters")
    assert caught.value.message


NAMES = st.text(min_size=1).filter(lambda name: name not in ("start_ts", "end_ts"))


@given(st.lists(st.tuples(NAMES, st.lists(st.text(), min_size=1, max_size=4)), min_size=1, max_size=MAX_CONDITIONS))
def test_every_value_can_be_asked_for(conditions: list[tuple[str, list[str]]]):
    text = ",".join(f"{escape(field)}=={'|'.join(map(escape, values))}" for field, values in conditions)
    assert parse_filters(text) == Filters(tuple(Condition(field, tuple(values)) for field, values in conditions))


@given(st.text(alphabet="ab=,|\\ $_ts0") | st.text())
def test_any_text_is_read_or_refused(text: str):
    with suppress(RequestError):
        assert len(parse_filters(text).conditions) <= MAX_CONDITIONS
