"""Events stay as they were sent; only their head is read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import CallerError
from engine.model.event import SentEvent, event_from, with_ts
from engine.model.limits import MAX_EVENT_ID_CHARS, MAX_EVENT_NAME_CHARS, MAX_TS_MS
from engine.model.wire import decode, decoder
from tests.model import texts

TIMES = st.integers(0, MAX_TS_MS)
sent_decoder = decoder(SentEvent)


def sent(text):
    return decode(sent_decoder, text)


@pytest.mark.slow
@given(TIMES, texts.OBJECTS, texts.OBJECTS)
def test_an_event_is_its_head_and_its_bytes(ts_ms, properties, others):
    members = texts.Object([("$event_name", "buy"), ("$ts", texts.Number(ts_ms)), ("$properties", properties), *others])
    body = texts.compact(members).encode()
    event = event_from(body)
    assert (event.ts_ms, event.name, event.body) == (ts_ms, "buy", body)
    assert texts.Object((key, texts.read(bytes(one))) for key, one in event.properties().items()) == properties
    assert list(event.fields()) == [key for key, _ in members]


@pytest.mark.parametrize("body", [b'{"$ts":1,"$event_name":"x"}', b'{"$ts":1,"$event_name":"x","$properties":null}'])
def test_an_event_without_properties_has_none(body):
    assert event_from(body).properties() == {}


@pytest.mark.slow
@given(TIMES, texts.OBJECTS, st.none() | TIMES)
def test_a_time_is_put_in_and_nothing_else_changes(ts_ms, others, before_ms):
    members = [("$event_name", "buy"), *others]
    if before_ms is not None:
        members.insert(1, ("$ts", texts.Number(before_ms)))
    found = texts.read(with_ts(texts.compact(texts.Object(members)).encode(), ts_ms))
    assert dict(found)["$ts"] == str(ts_ms)
    assert [member for member in found if member[0] != "$ts"] == [member for member in members if member[0] != "$ts"]


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (b'{"$event_name":""}', "$.$event_name"),
        (b'{"$event_name":null}', "$.$event_name"),
        (b'{"$event_name":5}', "$.$event_name"),
        (b'{"$event_name":"' + b"x" * (MAX_EVENT_NAME_CHARS + 1) + b'"}', "$.$event_name"),
        (b"{}", "$"),
        (b"[]", "$"),
        (b'{"$event_name":"x","$ts":-1}', "$.$ts"),
        (b'{"$event_name":"x","$ts":1.5}', "$.$ts"),
        (b'{"$event_name":"x","$ts":"1"}', "$.$ts"),
        (b'{"$event_name":"x","$ts":true}', "$.$ts"),
        (b'{"$event_name":"x","$ts":9223372036854775808}', "$.$ts"),
        (b'{"$event_name":"x","$ts":' + b"9" * 5000 + b"}", "$.$ts"),
        (b'{"$event_name":"x","$event_id":""}', "$.$event_id"),
        (b'{"$event_name":"x","$event_id":7}', "$.$event_id"),
        (b'{"$event_name":"x","$event_id":"' + b"x" * (MAX_EVENT_ID_CHARS + 1) + b'"}', "$.$event_id"),
        (b'{"$event_name":"x","$properties":[]}', "$.$properties"),
        (b'{"$event_name":"x","$properties":"{}"}', "$.$properties"),
    ],
)
def test_a_wrong_field_is_the_callers_fault_with_its_place(text, path):
    with pytest.raises(CallerError) as caught:
        sent(text)
    assert (caught.value.code, caught.value.path) == ("bad_field", path)


def test_the_bounds_themselves_are_allowed():
    found = sent(
        b'{"$event_name":"%s","$event_id":"%s","$ts":%d}'
        % (b"n" * MAX_EVENT_NAME_CHARS, b"i" * MAX_EVENT_ID_CHARS, MAX_TS_MS)
    )
    assert (len(found.event_name), len(found.event_id), found.ts) == (
        MAX_EVENT_NAME_CHARS,
        MAX_EVENT_ID_CHARS,
        MAX_TS_MS,
    )
    assert sent(b'{"$event_name":"x","$ts":null,"$event_id":null,"$properties":null}') == SentEvent(event_name="x")
