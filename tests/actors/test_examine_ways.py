"""Two ways to examine an item, one of them short: where the short one answers at all, both say the same."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import structs

from engine.actors.examine import Rules, _examine_any, _examine_parted, examine
from engine.errors import CallerError
from engine.model.channel import ChannelSettings
from engine.model.limits import MAX_NESTING
from engine.model.parted import MAX_HEAD_BYTES, part, part_sent
from engine.model.wire import compact
from tests.clocks import START_MS
from tests.engines import dump, event, item, touch, visit

HOUR_MS = 3_600_000
SITE = ChannelSettings(datamart=1, kind="SITE", id="1", max_activity_chars=400)
RULES = Rules({"site:1": SITE}.get, "main", HOUR_MS, 400)

TRICKS = st.sampled_from([',"$events":[{"', '"}]}', "plain", 'a\\"b', "\u00e9\u2028"])
CUSTOM = st.recursive(
    st.none() | st.integers(-5, 5) | TRICKS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["$events", "a", "b"]), inner),
    max_leaves=4,
)
TIMES = st.sampled_from([None, 0, 7, START_MS, START_MS + HOUR_MS, START_MS + HOUR_MS + 1, "7", -1])
EVENTS = st.fixed_dictionaries(
    {"$event_name": st.sampled_from(["$page_view", "x", "", 3])},
    optional={
        "$ts": TIMES,
        "$event_id": st.sampled_from([None, "one", ""]),
        "$properties": st.none() | st.dictionaries(st.sampled_from(["$url", "p"]), CUSTOM, max_size=2) | st.just(4),
        "further": CUSTOM,
    },
)
FIELDS = st.fixed_dictionaries(
    {
        "$type": st.sampled_from(["SITE_VISIT", "TOUCH", "NONE"]),
        "$session_status": st.sampled_from(["IN_SESSION", "IN_SESSION", "LIVE", "NO_SESSION", "CLOSED_SESSION"]),
    },
    optional={
        "$site_id": st.sampled_from(["1", 1, "2", None]),
        "$app_id": st.sampled_from(["1", None, ""]),
        "$user_agent_id": st.sampled_from(["vec:1", 5, None]),
        "$user_account_id": st.sampled_from(["ann", None, "a\0b"]),
        "$compartment_id": st.sampled_from(["c", "c\0"]),
        "$unique_key": st.sampled_from([None, "no uuid", "6a1f3f0e-6f0c-5c55-9d0a-5d8f6d1b7c11"]),
        "$ts": TIMES,
        "custom": CUSTOM,
        "$events": CUSTOM,
    },
)


@st.composite
def items(draw):
    fields = draw(FIELDS)
    events = draw(st.lists(EVENTS, max_size=3))
    before, after = draw(st.booleans()), draw(st.sampled_from(["", ',"last":1', ',"$events":[]', "]", " "]))
    space = (", ", ": ") if draw(st.booleans()) else (",", ":")
    text = json.dumps(fields, separators=space, ensure_ascii=draw(st.booleans()))
    array = f'"$events"{space[1]}{json.dumps(events, separators=space)}'
    if before:
        return f"{{{array}{space[0]}{text[1:]}".encode()
    return f"{text[:-1]}{space[0]}{array}{after}}}".encode()


def answer(call):
    """What comes out of it, but for what only the short way knows."""
    try:
        return structs.replace(call(), keys=())
    except CallerError as error:
        return error.code, error.path, error.message


@given(items(), st.booleans())
@example(item(event(1, 5), custom={"x": ',"$events":[{'}), True)
@example(item(event(1, 5), custom={"x": 1, "$events": [{}]}), True)
@example(b'{"$type":"SITE_VISIT","$session_status":"IN_SESSION","$events":[1],"$site_id":"1","$events":[]}', True)
def test_both_ways_come_to_the_same(sent, process):
    try:
        text = compact(sent)
    except CallerError:
        return
    long = answer(lambda: _examine_any(text, RULES, START_MS, process=process))
    assert answer(lambda: examine(sent, RULES, arrival_ms=START_MS, process=process)) == long
    as_sent, compacted = part_sent(sent, "main"), part(text, "main")
    assert as_sent is None or as_sent == compacted
    short = _examine_parted(text, RULES, START_MS, process=process)
    if short is not None:
        assert structs.replace(short, keys=()) == long
        assert short.keys == tuple(one.key() for one in short.identifiers)


@pytest.mark.parametrize(
    "sent",
    [
        visit(1),
        visit(1, 5),
        item(event(1, 5), event(2)),
        item(event(1, 5, event_id="one")),
        touch(1, 5),
        item(event(1, 5), custom={"deep": [{"$events": 1}]}),
        json.dumps(json.loads(visit(1)), indent=2).encode(),
        item(event(1, 5), long="x" * MAX_HEAD_BYTES),
    ],
)
def test_what_clients_send_goes_the_short_way(sent):
    rules = structs.replace(RULES, max_activity_chars=8000, channel={"site:1": ChannelSettings(**BROAD)}.get)
    assert _examine_parted(compact(sent), rules, START_MS, process=True) is not None


BROAD = {"datamart": 1, "kind": "SITE", "id": "1"}


@pytest.mark.parametrize("deep", [MAX_NESTING - 5, MAX_NESTING - 4, MAX_NESTING - 3, MAX_NESTING])
@pytest.mark.parametrize("behind", ["", " ", "\n", "\u00e9", "\\u00e9", "\\ud800", "\x00", "\\q"])
def test_what_is_no_json_or_too_deep_is_refused_by_all_ways_alike(deep, behind):
    nested = b"[" * deep + b"]" * deep
    sent = visit(1, 5).replace(b'"n":1', b'"n":%s,"t":"%s"' % (nested, behind.encode()))

    def long():
        return _examine_any(compact(sent), RULES, START_MS, process=True)

    assert answer(lambda: examine(sent, RULES, arrival_ms=START_MS, process=True)) == answer(long)


@pytest.mark.parametrize("bad", [b"\xff", b"\xed\xa0\x80", b'"', b"\x01"])
@pytest.mark.parametrize("place", [b"seen", b"vec:1", b"n"])
def test_bytes_that_are_no_text_are_refused_by_all_ways_alike(bad, place):
    sent = visit(1, 5).replace(place, bad)

    def long():
        return _examine_any(compact(sent), RULES, START_MS, process=True)

    assert answer(lambda: examine(sent, RULES, arrival_ms=START_MS, process=True)) == answer(long)


def test_equal_root_fields_are_held_once():
    first, second = (part(compact(visit(number, user="vec:once")), "main") for number in (1, 2))
    assert first.root is second.root
    other = part(compact(visit(1, user="vec:once")), "other")
    assert other.root is not first.root, "accounts without a compartment are others there"


def test_a_members_order_decides_whether_it_goes_the_short_way_and_nothing_else():
    fields = json.loads(visit(1, 5))
    moved = dump({"$events": fields.pop("$events"), **fields})
    assert part(compact(moved), "main") is None
    found = examine(moved, RULES, arrival_ms=START_MS, process=True)
    expected = examine(visit(1, 5), RULES, arrival_ms=START_MS, process=True)
    assert structs.replace(found, root=b"") == structs.replace(expected, root=b"", keys=())
