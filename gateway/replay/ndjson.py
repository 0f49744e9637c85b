"""From a line of NDJSON to the activity that is sent: as it stands, with ids for the events that have none.

Only what a replay needs is looked at: the times, which move the clock, and the ids. All other checks are the engine's,
which refuses a bad item with the place of the fault.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec

EVENTS: Final = "$events"
EVENT_ID: Final = "$event_id"
TS: Final = "$ts"

_MAX_TS_MS: Final = 2**63 - 1
_Fields = dict[str, msgspec.Raw]
_item_decoder: msgspec.json.Decoder[_Fields] = msgspec.json.Decoder(_Fields)
_events_decoder: msgspec.json.Decoder[list[_Fields]] = msgspec.json.Decoder(list[_Fields])
_int_decoder: msgspec.json.Decoder[int] = msgspec.json.Decoder(int)
_encoder = msgspec.json.Encoder()
_UNDECODABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Item(NamedTuple):
    """One activity of the file.

    Attributes:
        body: what is sent.
        ts_ms: the latest time it names, ms since the epoch; None when it names none.
        has_events: without events there is no event id either, and a repeated replay needs another way to know it.
    """

    body: bytes
    ts_ms: int | None
    has_events: bool


def read_item(line: bytes, event_id: Callable[[int], str]) -> Item | None:
    """The activity on this line, or None when the line is no JSON object.

    Args:
        line: UTF-8 JSON; other bytes are no JSON object.
        event_id: id for the n-th event of the line, counted from 0.
    """
    try:
        fields = _item_decoder.decode(line)
    except _UNDECODABLE:
        return None
    times = [_time(fields.get(TS))]
    try:
        events = _events_decoder.decode(fields.get(EVENTS, b"[]"))
    except _UNDECODABLE:
        # Not a list of objects: the engine says so better.
        return Item(line, times[0], has_events=True)
    changed = False
    for index, event in enumerate(events):
        times.append(_time(event.get(TS)))
        if bytes(event.get(EVENT_ID, b"null")) == b"null":
            event[EVENT_ID] = msgspec.Raw(_encoder.encode(event_id(index)))
            changed = True
    body = line
    if changed:
        fields[EVENTS] = msgspec.Raw(_encoder.encode(events))
        body = _encoder.encode(fields)
    return Item(body, max((time for time in times if time is not None), default=None), has_events=bool(events))


def _time(value: msgspec.Raw | None) -> int | None:
    if value is None:
        return None
    try:
        time = _int_decoder.decode(value)
    except _UNDECODABLE:
        return None
    return time if 0 <= time <= _MAX_TS_MS else None
