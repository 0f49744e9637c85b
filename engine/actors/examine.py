"""One sent item, checked from all sides before anything of it is taken. A function of its arguments: no I/O, no clock.

What passes is total for everything behind it: the fold and the chain never see an item that could not be read.
"""

from collections.abc import Callable, Sequence
from typing import Final

from msgspec import Raw, Struct

from engine.errors import CallerError
from engine.model.activity import measure, measure_event, measure_root
from engine.model.channel import ChannelSettings
from engine.model.event import with_ts
from engine.model.identifiers import Identifier
from engine.model.limits import MAX_EVENTS_PER_ITEM, MAX_EXPANDED_BYTES
from engine.model.parted import Parted, part, part_sent
from engine.model.record import RecordKind
from engine.model.sent import SentActivity, SentStatus, parse_unique_key, sent_decoder
from engine.model.wire import Fields, compact, decode, decode_fields, decode_list, encode_fields

_ITEM: Final = RecordKind.ITEM

_FORBIDDEN: Final = "forbidden_channel"

_UNKNOWN_WEIGHT: Final = 1
"""An item that cannot be read counts as one event (decision 17)."""


class Unit(Struct, frozen=True, gc=False):
    """One event of an item: its compact JSON with `$ts`, its time, and the id it brought or ""."""

    body: bytes
    ts_ms: int
    event_id: str


class Examined(Struct, frozen=True, gc=False):
    """An item that may be taken.

    Attributes:
        kind: what its records ask of the visitor.
        channel: settings it is accepted under, or None for an item without a channel.
        identifiers: who it says it is from, each once.
        ts_ms: the item's own time; arrival where it has none.
        root: compact JSON of its root fields without `$events`.
        units: its events in the order sent.
        process: False to skip the steps between create and store.
        keys: `Identifier.key()` of each identifier, where they are known already; else empty.
    """

    kind: RecordKind
    channel: ChannelSettings | None
    identifiers: tuple[Identifier, ...]
    ts_ms: int
    root: bytes
    units: tuple[Unit, ...]
    process: bool
    keys: tuple[bytes, ...] = ()


class Rules(Struct, frozen=True):
    """What items of a datamart are checked against.

    Attributes:
        channel: settings by channel key, or None for an unknown one.
        default_compartment: for accounts that name none.
        max_future_ms: how far ahead of arrival a time may be (decision 9).
        max_activity_chars: size limit of an item without a channel (decision 15).
    """

    channel: Callable[[str], ChannelSettings | None]
    default_compartment: str
    max_future_ms: int
    max_activity_chars: int


def examine(item: bytes, rules: Rules, *, arrival_ms: int, process: bool) -> Examined:
    """Check one item.

    Args:
        item: JSON of one activity, as sent.
        rules: of its datamart.
        arrival_ms: engine time.
        process: False when the sender asked to skip the processing steps.

    Raises:
        CallerError: with a stable code and the path to the fault.
    """
    found = part_sent(item, rules.default_compartment)
    if found is not None and (examined := _examine_found(found, rules, arrival_ms, process=process)) is not None:
        return examined
    text = compact(item)
    return (_examine_parted(text, rules, arrival_ms, process=process) if found is None else None) or _examine_any(
        text, rules, arrival_ms, process=process
    )


def _examine_parted(text: bytes, rules: Rules, arrival_ms: int, *, process: bool) -> Examined | None:
    """What passes and has the usual form: a shorter way to the same answer as `_examine_any`, which takes twice as
    long. None says nothing."""
    found = part(text, rules.default_compartment)
    return None if found is None else _examine_found(found, rules, arrival_ms, process=process)


def _examine_found(found: Parted, rules: Rules, arrival_ms: int, *, process: bool) -> Examined | None:
    root, events = found.root, found.events
    kind = _KINDS[root.status]
    channel = rules.channel(root.channel) if root.channel else None
    latest_ms = arrival_ms + rules.max_future_ms
    item_ms = root.ts_ms
    if item_ms is None:
        item_ms = arrival_ms
    elif item_ms > latest_ms:
        return None
    if channel is None:
        if kind is not _ITEM or root.channel or found.size_bytes > rules.max_activity_chars:
            return None
    elif found.size_bytes > channel.max_activity_chars or not (process or kind is _ITEM):
        return None
    array = found.array
    if len(events) == 1:  # As below, in half the time: most items of browsers.
        event = events[0]
        ts_ms = event.ts
        if ts_ms is not None and ts_ms <= latest_ms and len(root.body) <= MAX_EXPANDED_BYTES:
            lone = Unit(array[1:-1], ts_ms, event.event_id or "")
            return Examined(kind, channel, root.identifiers, item_ms, root.body, (lone,), process, root.keys)
    units: list[Unit] = []
    for event, body in zip(events, decode_list(array), strict=True):
        ts_ms = event.ts
        if ts_ms is None:
            units.append(Unit(with_ts(bytes(body), arrival_ms), arrival_ms, event.event_id or ""))
        elif ts_ms > latest_ms:
            return None
        else:
            units.append(Unit(bytes(body), ts_ms, event.event_id or ""))
    if len(root.body) * len(units) > MAX_EXPANDED_BYTES:
        return None
    return Examined(kind, channel, root.identifiers, item_ms, root.body, tuple(units), process, root.keys)


_KINDS: Final[dict[SentStatus, RecordKind]] = {
    "IN_SESSION": RecordKind.EVENT,
    "LIVE": RecordKind.LIVE,
    "NO_SESSION": RecordKind.ITEM,
    "CLOSED_SESSION": RecordKind.ITEM,
}


def _examine_any(text: bytes, rules: Rules, arrival_ms: int, *, process: bool) -> Examined:
    """Any item, with all faults told."""
    sent = decode(sent_decoder, text)
    fields = decode_fields(text)
    raw_events = fields.pop("$events", None)
    kind = _kind_of(sent, process=process)
    channel = _channel_of(sent, rules)
    if kind is RecordKind.ITEM:  # Of the others it is ignored (decision 13).
        parse_unique_key(sent.unique_key)
    _check_time(sent.ts, "$.$ts", arrival_ms, rules)
    units = _units_of(sent, raw_events, arrival_ms, rules)
    if kind is not RecordKind.ITEM and not units:
        raise CallerError(
            "a visit in a session is made of events: `$events` is empty", code="no_events", path="$.$events"
        )
    root = encode_fields(fields)
    if kind is not RecordKind.ITEM and len(root) * len(units) > MAX_EXPANDED_BYTES:
        raise CallerError(
            f"{len(units)} events with {len(root)} bytes of root fields each are too much for one item",
            code="item_too_large",
            path="$.$events",
        )
    limit = channel.max_activity_chars if channel is not None else rules.max_activity_chars
    if len(text) > limit:  # As many bytes at most: then it has no more code points either.
        # As they were sent: a time that the engine puts in does not count.
        _check_size(kind, fields, decode_list(raw_events) if raw_events is not None else (), limit)
    return Examined(
        kind=kind,
        channel=channel,
        identifiers=sent.identifiers(rules.default_compartment),
        ts_ms=arrival_ms if sent.ts is None else sent.ts,
        root=root,
        units=units,
        process=process,
    )


def check_channel(examined: Examined, only: str) -> None:
    """Refuse an item of another channel than a sender may send for.

    Args:
        examined: the item.
        only: key of the channel, such as `app:1`.

    Raises:
        CallerError: `forbidden_channel`.
    """
    channel = examined.channel
    if channel is None:
        raise CallerError(f"only items of {only} may be sent here, this one has no channel", code=_FORBIDDEN)
    if channel.key != only:
        raise CallerError(
            f"only items of {only} may be sent here, not of {channel.key}",
            code=_FORBIDDEN,
            path=f"$.{channel.id_field}",
        )


def weight_of(item: bytes) -> int:
    """How many received events a refused item counts for: as many as it has, and one when that cannot be read."""
    try:
        events = decode_fields(item).get("$events")
        found = len(decode_list(events)) if events is not None else 0
    except CallerError:
        return _UNKNOWN_WEIGHT
    return max(_UNKNOWN_WEIGHT, min(found, MAX_EVENTS_PER_ITEM))


def _kind_of(sent: SentActivity, *, process: bool) -> RecordKind:
    if not sent.is_whole() and not process:
        raise CallerError(
            "events of a session cannot skip processing", code="processing_required", path="$.$session_status"
        )
    return _KINDS[sent.session_status]


def _channel_of(sent: SentActivity, rules: Rules) -> ChannelSettings | None:
    if sent.has_two_channels():
        raise CallerError("an activity has one channel, `$site_id` or `$app_id`", code="two_channels", path="$.$app_id")
    key = sent.channel_key()
    path = "$.$app_id" if key.startswith("app:") else "$.$site_id"
    if not key:
        if sent.is_whole():
            return None
        raise CallerError("a visit needs the `$site_id` or `$app_id` of its channel", code="unknown_channel", path=path)
    channel = rules.channel(key)
    if channel is None:
        raise CallerError(f"no channel {key.partition(':')[2]!r} in this datamart", code="unknown_channel", path=path)
    return channel


def _check_time(ts_ms: int | None, path: str, arrival_ms: int, rules: Rules) -> None:
    if ts_ms is not None and ts_ms > arrival_ms + rules.max_future_ms:
        raise CallerError(
            f"{ts_ms} is more than {rules.max_future_ms // 60_000} minutes ahead", code="timestamp_in_future", path=path
        )


def _units_of(sent: SentActivity, raw_events: Raw | None, arrival_ms: int, rules: Rules) -> tuple[Unit, ...]:
    if not sent.events or raw_events is None:
        return ()
    units: list[Unit] = []
    for index, (event, raw) in enumerate(zip(sent.events, decode_list(raw_events), strict=True)):
        _check_time(event.ts, f"$.$events[{index}].$ts", arrival_ms, rules)
        body = bytes(raw)
        ts_ms = event.ts
        if ts_ms is None:
            ts_ms = arrival_ms
            body = with_ts(body, ts_ms)
        units.append(Unit(body, ts_ms, event.event_id or ""))
    return tuple(units)


def _check_size(kind: RecordKind, fields: Fields, sent_events: Sequence[Raw], limit: int) -> None:
    events = [bytes(raw) for raw in sent_events]
    if kind is RecordKind.ITEM:
        size = measure(fields, events)
        if size > limit:
            raise CallerError(
                f"the activity has {size} characters, the limit is {limit}", code="activity_too_large", path="$"
            )
        return
    root = measure_root({key: value for key, value in fields.items() if key != "$unique_key"})
    for index, event in enumerate(events):
        size = root + measure_event(event)
        if size > limit:
            raise CallerError(
                f"the event and its root fields have {size} characters, the limit is {limit}",
                code="activity_too_large",
                path=f"$.$events[{index}]",
            )


def events_array(units: tuple[Unit, ...]) -> bytes:
    """The JSON array of the events of an item."""
    return b"[" + b",".join([unit.body for unit in units]) + b"]"


def split_items(body: bytes, *, max_items: int = 10_000) -> list[bytes]:
    """The items of a JSON array, each with its own bytes.

    Raises:
        CallerError: not a JSON array, nested too deeply, or more than `max_items`.
    """
    items = [bytes(raw) for raw in decode_list(body)]
    if len(items) > max_items:
        raise CallerError(f"{len(items)} items, the limit is {max_items}", code="too_many_items", path="$")
    return items
