"""One item from all sides: what passes is total for what follows, what does not is a fault with its place."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import structs

from engine.actors.examine import Rules, events_array, examine, split_items, weight_of
from engine.errors import CallerError
from engine.model.channel import ChannelSettings
from engine.model.limits import MAX_EVENTS_PER_ITEM, MAX_NESTING
from engine.model.record import RecordKind
from engine.pipeline.create import create
from engine.session.closed import Closed, Source
from engine.session.member import item_member
from tests.clocks import START_MS
from tests.engines import dump, error_of, event, item, touch, visit
from tests.model import texts

SITE = ChannelSettings(datamart=1, kind="SITE", id="1")
HOUR_MS = 3_600_000


def rules(**changed):
    site = structs.replace(SITE, **changed)
    return Rules({"site:1": site}.get, "main", HOUR_MS, site.max_activity_chars)


def look(item, *, process=True, arrival_ms=START_MS, **changed):
    return examine(item, rules(**changed), arrival_ms=arrival_ms, process=process)


def refused(item, **options):
    with pytest.raises(CallerError) as caught:
        look(item, **options)
    return caught.value.code, caught.value.path


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("IN_SESSION", RecordKind.EVENT),
        ("LIVE", RecordKind.LIVE),
        ("NO_SESSION", RecordKind.ITEM),
        ("CLOSED_SESSION", RecordKind.ITEM),
    ],
)
def test_what_an_item_asks_of_its_visitor(status, kind):
    found = look(item(event(1, 5), event(2, 6), status=status))
    assert (found.kind, found.channel, found.process) == (kind, SITE, True)
    assert [(unit.ts_ms, unit.event_id) for unit in found.units] == [(5, ""), (6, "")]


def test_a_missing_time_is_the_arrival_and_stands_in_the_event():
    found = look(item(event(1), {"$event_name": "x", "$ts": None}, event(2, 7)))
    assert [unit.ts_ms for unit in found.units] == [START_MS, START_MS, 7]
    assert [json.loads(unit.body)["$ts"] for unit in found.units] == [START_MS, START_MS, 7]
    assert (found.ts_ms, look(touch(1, 9)).ts_ms) == (START_MS, 9)


def test_root_fields_are_kept_without_the_events():
    found = look(item(event(1, 5), ttl=3, unknown=[1]))
    assert json.loads(found.root) == {k: v for k, v in json.loads(item(ttl=3, unknown=[1])).items() if k != "$events"}


@pytest.mark.parametrize(
    ("sent", "code", "path"),
    [
        (b"", "bad_json", "$"),
        (b"[]", "bad_field", "$"),
        (b"null", "bad_field", "$"),
        (b'{"a":"\xff"}', "bad_json", "$"),
        (item(event(1), site_id="9"), "unknown_channel", "$.$site_id"),
        (item(event(1), site_id="", app_id="7"), "unknown_channel", "$.$app_id"),
        (item(event(1), site_id=None), "unknown_channel", "$.$site_id"),
        (item(event(1), site_id=None, status="LIVE"), "unknown_channel", "$.$site_id"),
        (touch(1, site_id="9"), "unknown_channel", "$.$site_id"),
        (item(), "no_events", "$.$events"),
        (item(status="LIVE"), "no_events", "$.$events"),
        (item(event(1), status="CLOSED_SESSION", unique_key="5"), "bad_field", "$.$unique_key"),
        (item(event(1), app_id="1"), "two_channels", "$.$app_id"),
        (item(event(1), origin={"$source": ["a"]}), "bad_field", "$.$origin.$source"),
        (item(event(1), location={"$latlon": [1]}), "bad_field", "$.$location.$latlon"),
        (item(*[event(1)] * 900, pad="x" * 4000), "item_too_large", "$.$events"),
        (item(event(1), ts=START_MS + HOUR_MS + 1), "timestamp_in_future", "$.$ts"),
        (item(event(1), event(2, START_MS + HOUR_MS + 1)), "timestamp_in_future", "$.$events[1].$ts"),
        (item(event(1), {"$event_name": ""}), "bad_field", "$.$events[1].$event_name"),
        (item(event(1), {}), "bad_field", "$.$events[1]"),
        (item(event(1), {"$event_name": "x", "$ts": 10**30}), "bad_field", "$.$events[1].$ts"),
        (item(event(1), user=[1]), "bad_field", "$.$user_agent_id"),
        (item(event(1), user="x" * 513), "bad_field", "$.$user_agent_id"),
        (item(event(1), user=10**600), "bad_identifier", "$.$user_identifiers"),
        (item(event(1), user_identifiers=[{"$type": "USER_SHOE"}]), "bad_identifier", "$.$user_identifiers[0]"),
        (item(event(1), site_id=10**600), "unknown_channel", "$.$site_id"),
        (item(event(1), session_duration=10**30), "bad_field", "$.$session_duration"),
        (item(event(1), ttl=10**30), "bad_field", "$.$ttl"),
    ],
)
def test_a_fault_has_a_code_and_a_place(sent, code, path):
    assert refused(sent) == (code, path)


def test_times_at_the_bound_and_long_ago_are_fine():
    assert look(item(event(1, START_MS + HOUR_MS), event(2, 0), ts=START_MS + HOUR_MS)).units[1].ts_ms == 0


def test_a_touch_needs_neither_channel_nor_events():
    found = look(dump({"$type": "EMAIL", "$session_status": "NO_SESSION", "$user_agent_id": "a"}))
    assert (found.channel, found.units, events_array(found.units)) == (None, (), b"[]")


@pytest.mark.parametrize("status", ["IN_SESSION", "LIVE"])
def test_events_of_a_session_cannot_skip_processing(status):
    assert refused(item(event(1), status=status), process=False) == ("processing_required", "$.$session_status")
    assert look(touch(1), process=False).process is False


def test_deep_nesting_is_refused_and_the_deepest_allowed_is_not():
    # Root object, custom array: one level is used up.
    levels = MAX_NESTING - 1
    fine = touch(1, custom="HERE").replace(b'"HERE"', b"[" * levels + b"]" * levels)
    assert look(fine)
    for deep in (levels + 1, 100_000):
        assert refused(touch(1, custom="HERE").replace(b'"HERE"', b"[" * deep + b"]" * deep)) == (
            "nesting_too_deep",
            "$",
        )


@pytest.mark.parametrize("name", ["custom", "$ts", "$user_agent_id", "$site_id", "$ttl", "$session_duration"])
@pytest.mark.parametrize("digits", [20, 400, 5000, 100_000])
def test_huge_integers_are_kept_or_refused_and_nothing_else(name, digits):
    sent = touch(1, HERE=1).replace(b'"$HERE":1', b'"%s":%s' % (name.encode(), b"9" * digits))
    error = error_of(CallerError, lambda: look(sent, max_activity_chars=1_000_000))
    if error is None:
        assert b"9" * digits in look(sent, max_activity_chars=1_000_000).root
    else:
        assert name != "custom"


WORDS = st.sampled_from(
    [
        "$ts",
        "$type",
        "$session_status",
        "$events",
        "$event_name",
        "$user_agent_id",
        "$user_identifiers",
        "$site_id",
        "$origin",
        "$properties",
        "$event_id",
        "$location",
        "$unique_key",
        "$ttl",
        "TOUCH",
        "NO_SESSION",
        "LIVE",
        "1",
    ]
)
ANY = st.recursive(
    texts.SCALARS | WORDS | st.just(texts.Number("1700000000000")),
    lambda inner: st.lists(inner, max_size=3) | texts.objects(inner, keys=WORDS | texts.KEYS),
    max_leaves=10,
)
HEADS = st.fixed_dictionaries(
    {"$type": st.just("TOUCH") | ANY, "$session_status": st.sampled_from(["NO_SESSION", "IN_SESSION", "LIVE"])},
    optional={
        "$user_agent_id": st.just("a") | ANY,
        "$site_id": st.just("1") | ANY,
        "$events": ANY | st.lists(st.just(texts.Object({"$event_name": "x"}.items())) | ANY, max_size=3),
        "$ts": ANY,
        "$origin": ANY,
        "$properties": ANY,
        "$location": ANY,
        "$user_identifiers": ANY,
        "$unique_key": ANY,
        "$ttl": ANY,
        "$session_duration": ANY,
    },
)


@pytest.mark.slow
@given(HEADS.map(lambda fields: texts.compact(texts.Object(fields.items())).encode()) | st.binary(max_size=60))
@example(b'{"$type":"TOUCH","$session_status":"NO_SESSION","$user_agent_id":"\\ud800"}')
def test_any_input_is_taken_or_refused_and_what_is_taken_becomes_an_activity(sent):
    assert weight_of(sent) >= 1
    error = error_of(CallerError, look, sent)
    if error is not None:
        assert error.code
        assert error.path.startswith("$")
        return
    found = look(sent)
    texts.read(found.root)
    if found.kind is RecordKind.ITEM:
        record = _Record(found)
        member = item_member(record, found.channel)
        closed = Closed(Source.ITEM, 1, bytes(16), (1,), channel=found.channel, members=(member,))
        texts.read(create(closed, "main").encode())


class _Record:
    """A record of an examined item, as far as the fold looks at it."""

    sequence, arrival_ms, weight, process, channel_version = 1, START_MS, 1, True, 1

    def __init__(self, found):
        self.root, self.event, self.ts_ms = found.root, events_array(found.units), found.ts_ms


def sized(build, chars):
    """An item whose compact JSON has so many code points, in letters of two bytes, with white space around."""
    short = len(build("").decode())
    return build("é" * (chars - short)).replace(b",", b" , ", 1) + b"\n"


@pytest.mark.parametrize("with_ts", [True, False])
@pytest.mark.parametrize(
    "build",
    [
        lambda text, ts: touch(1, ts, custom=text),
        lambda text, ts: item(event(1, ts, text=text)),
        lambda text, ts: item(event(1, ts), custom=text, status="LIVE"),
    ],
)
def test_the_size_limit_counts_code_points_of_what_was_sent(build, with_ts):
    ts = START_MS if with_ts else None
    assert look(sized(lambda text: build(text, ts), 600), max_activity_chars=600)
    code, path = refused(sized(lambda text: build(text, ts), 601), max_activity_chars=600)
    assert code == "activity_too_large"
    assert path in ("$", "$.$events[0]")


def test_of_a_visit_each_event_alone_counts_with_the_root():
    events = [event(number, START_MS, text="é" * 400) for number in range(9)]
    assert len(look(item(*events), max_activity_chars=700).units) == 9
    assert refused(item(*events, event(9, START_MS, text="é" * 700)), max_activity_chars=700) == (
        "activity_too_large",
        "$.$events[9]",
    )
    assert refused(item(*events, status="NO_SESSION"), max_activity_chars=700) == ("activity_too_large", "$")


def test_null_fields_and_the_senders_key_of_a_visit_do_not_count():
    nulls = dict.fromkeys(("topics", "location", "ttl", "origin"))
    assert look(sized(lambda text: item(event(1, START_MS, t=text)), 600).replace(b"\n", b""), max_activity_chars=600)
    with_nulls = json.loads(sized(lambda text: item(event(1, START_MS, t=text)), 600))
    with_nulls |= {f"${name}": value for name, value in nulls.items()}
    with_nulls["$unique_key"] = "6a1f3f0e-6f0c-5c55-9d0a-5d8f6d1b7c11"
    assert look(dump(with_nulls), max_activity_chars=600)


@pytest.mark.parametrize(
    ("sent", "weight"),
    [
        (b"", 1),
        (b"[", 1),
        (b"[1,2]", 1),
        (b'{"$events":[1,2,3]}', 3),
        (b'{"$events":{}}', 1),
        (b'{"$events":null}', 1),
        (b'{"$events":[]}', 1),
        (b'{"$events":[' + b",".join([b"1"] * 5000) + b"]}", MAX_EVENTS_PER_ITEM),
        (b'{"$events":' + b"[" * 100_000, 1),
    ],
)
def test_a_refused_item_counts_for_as_many_events_as_it_shows(sent, weight):
    assert weight_of(sent) == weight


def test_a_batch_is_split_into_the_bytes_of_its_items():
    items = [visit(1), b'{ "odd" : 1.50 }', b"7"]
    assert split_items(b"[" + b" , ".join(items) + b"]") == items
    assert split_items(b"[]") == []


@pytest.mark.parametrize("body", [b"", b"{}", b"[1,", b"7", b"[" * 100_000])
def test_what_is_no_batch_is_refused(body):
    with pytest.raises(CallerError):
        split_items(body)


def test_a_batch_of_too_many_items_is_refused():
    assert len(split_items(b"[1,2,3]", max_items=3)) == 3
    with pytest.raises(CallerError) as caught:
        split_items(b"[1,2,3,4]", max_items=3)
    assert caught.value.code == "too_many_items"
