"""What the tests of the fold are made of: channels, records, and a visitor that is fed without counting sequences."""

import json

from engine.model.channel import ChannelSettings
from engine.model.record import Record, RecordKind
from engine.session.closed import Closed
from engine.session.visitor import Visitor

USER = b"user-point-00001"
OTHER = b"user-point-00002"
MINUTE = 60_000
GAP = 30 * MINUTE
NOON = 1_700_000_000_000


def settings(version: int = 1, **changed: object) -> ChannelSettings:
    """A site on shop.test."""
    return ChannelSettings(
        **{"datamart": 1, "kind": "SITE", "id": "1", "domain": "shop.test", "version": version} | changed
    )


def dump(value: object) -> bytes:
    """Compact JSON, as `accept` leaves it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def root_of(**fields: object) -> bytes:
    """Root fields of a visit; keyword `a` becomes `$a` for documented names."""
    base = {"$type": "SITE_VISIT", "$session_status": "IN_SESSION", "$site_id": "1", "$user_agent_id": "vec:1"}
    return dump(base | fields)


def event_of(ts_ms: int, name: str = "e", **properties: object) -> bytes:
    """An event with properties."""
    return dump({"$ts": ts_ms, "$event_name": name, "$properties": properties})


def record_of(
    sequence: int,
    ts_ms: int,
    *,
    kind: RecordKind = RecordKind.EVENT,
    arrival_ms: int | None = None,
    user: bytes = USER,
    channel: str = "site:1",
    version: int = 1,
    weight: int = 1,
    root: bytes | None = None,
    event: bytes | None = None,
    **properties: object,
) -> Record:
    """A journal record; arrival is the event's time where nothing else is said."""
    return Record(
        sequence=sequence,
        kind=kind,
        arrival_ms=ts_ms if arrival_ms is None else arrival_ms,
        datamart=1,
        user_point=user,
        channel=channel,
        channel_version=version if channel else 0,
        ts_ms=ts_ms,
        weight=weight,
        process=True,
        root=root_of() if root is None else root,
        event=event_of(ts_ms, **properties) if event is None else event,
    )


Seen = tuple[str, tuple[int, ...]]
"""Why something left, and the times of its events behind noon."""


def seen(closed: tuple[Closed, ...]) -> list[Seen]:
    """What left, without the states that were only saved."""
    return [
        (str(one.reason or one.source), tuple(member.ts_ms - NOON for member in one.members))
        for one in closed
        if one.members
    ]


class Feed:
    """A visitor, and the records it has had. Times are milliseconds behind noon."""

    def __init__(self, *versions: ChannelSettings, **changed: object) -> None:
        known = {one.version: one for one in versions} or {1: settings(**changed)}
        self.channels: dict[int, ChannelSettings] = known
        self.visitor = Visitor(1, USER, self.channel)
        self.records: dict[int, Record] = {}

    def channel(self, key: str, version: int) -> ChannelSettings:
        """The settings; any `site:` key is the same channel under another id."""
        found = self.channels[version]
        kind, _, number = key.partition(":")
        if number == found.id and kind == "site":
            return found
        changed = {name: getattr(found, name) for name in found.__struct_fields__}
        return ChannelSettings(**changed | {"id": number, "kind": "SITE" if kind == "site" else "MOBILE_APPLICATION"})

    def closed(self, ts_ms: int, *, arrival: int | None = None, **fields: object) -> tuple[Closed, ...]:
        """Apply one record and give what left."""
        sequence = len(self.records) + 1
        arrival_ms = NOON + (ts_ms if arrival is None else arrival)
        record = record_of(sequence, NOON + ts_ms, arrival_ms=arrival_ms, **fields)
        self.records[sequence] = record
        return self.visitor.apply(record)

    def event(self, ts_ms: int, **fields: object) -> list[Seen]:
        """Apply an event (`arrival=`, `channel=`, `root=` … beside properties)."""
        return seen(self.closed(ts_ms, **fields))

    def live(self, ts_ms: int, **fields: object) -> list[Seen]:
        """Apply a live event."""
        return seen(self.closed(ts_ms, kind=RecordKind.LIVE, **fields))

    def close(self, ts_ms: int = 0, channel: str = "") -> list[Seen]:
        """Ask to close."""
        return seen(self.closed(ts_ms, kind=RecordKind.CLOSE, channel=channel, root=b"{}", event=b"", weight=0))

    def expire(self, now: int) -> list[Seen]:
        """Let the timer run."""
        return seen(self.visitor.expire(NOON + now))
