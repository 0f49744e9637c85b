"""Decisions 5 to 8, 11 and 16 once more, written plainly and slowly, to hold the fold against.

`by_definition` knows all events at once and no arrivals. `PlainFold` goes record by record but keeps nothing between
two records except lists of events: every test runs from the first event on, every time.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise

from engine.model.channel import ChannelSettings
from engine.model.record import Record, RecordKind
from tests.session.build import dump, event_of, record_of

Body = dict[str, object]


@dataclass(frozen=True)
class Happening:
    """An event as a test draws it: what it says, before anything is encoded."""

    ts: int
    source: str = ""
    site: str = ""
    text: str = ""
    page: int | None = None

    @property
    def origin(self) -> str:
        """What decision 19 makes of it, by name."""
        return self.source or (f"www.{self.site}" if self.foreign else "")

    @property
    def foreign(self) -> str:
        """The site it came from, where that is not shop.test."""
        return "" if self.site == "shop.test" else self.site

    @property
    def root(self) -> Body:
        """Root fields of its item."""
        root: Body = {"$type": "SITE_VISIT", "$session_status": "IN_SESSION", "$user_agent_id": "vec:1"}
        return root if self.page is None else {"page": self.page, "$location": None} | root

    @property
    def properties(self) -> Body:
        """Properties of the event."""
        found: Body = {"text": self.text or None}
        if self.source:
            found["$source"] = self.source
        if self.site:
            found["$referrer"] = f"https://www.{self.site}/"
        return found

    def record(self, sequence: int, arrival_ms: int, **more: object) -> Record:
        """Its journal record."""
        return record_of(
            sequence,
            self.ts,
            arrival_ms=arrival_ms,
            root=dump(self.root),
            event=event_of(self.ts, **self.properties),
            **more,
        )


@dataclass(frozen=True)
class Held:
    """A happening with its place in the journal."""

    what: Happening
    sequence: int
    arrival: int
    version: int

    @property
    def ts(self) -> int:
        """Its time."""
        return self.what.ts

    @property
    def place(self) -> tuple[int, int]:
        """Decision 10."""
        return self.what.ts, self.sequence


Part = tuple[str, list[Held]]


def chars(events: Sequence[Held]) -> int:
    """Decision 15: the compact JSON of the activity without null fields, in code points.

    Equal root fields count as they were sent; of several come the identifiers of all, as they are stored.
    """
    root: Body = {}
    for one in events:
        root |= one.what.root
    if any(one.what.root != events[0].what.root for one in events):
        root["$user_identifiers"] = [{"$type": "USER_AGENT", "$user_agent_id": root.pop("$user_agent_id")}]
    root = {key: value for key, value in root.items() if value is not None}
    return len(dump(root | {"$events": []}).decode()) + sum(body_chars(one.what) for one in events) + len(events) - 1


@lru_cache(1000)
def body_chars(what: Happening) -> int:
    """Code points of one event."""
    properties = {key: value for key, value in what.properties.items() if value is not None}
    return len(dump({"$ts": what.ts, "$event_name": "e", "$properties": properties}).decode())


def reason_to_cut(before: Sequence[Held], one: Held, settings: ChannelSettings, *, live: bool) -> str:
    """Decisions 6 and 16, for an event and the part of the session before it; "" for none."""
    if not live:
        if one.what.origin and one.what.origin != before[0].what.origin:
            return "origin"
        seen = [other.what.foreign for other in before if other.what.foreign]
        if one.what.foreign and seen and seen[-1] != one.what.foreign:
            return "referrer"
        if one.ts - before[0].ts > settings.max_session_ms:
            return "duration"
    return "size" if chars([*before, one]) > settings.max_activity_chars else ""


def by_definition(events: Sequence[Held], settings: ChannelSettings) -> list[list[Held]]:
    """The sessions of one user and channel when everything is known: sort, split at gaps, cut."""
    found: list[list[Held]] = []
    for one in sorted(events, key=lambda held: held.place):
        if (
            not found
            or one.ts - found[-1][-1].ts > settings.gap_ms
            or reason_to_cut(found[-1], one, settings, live=False)
        ):
            found.append([])
        found[-1].append(one)
    return found


@dataclass(frozen=True)
class PlainRun:
    """An open session or live window."""

    live: bool
    channel: str
    events: tuple[Held, ...]

    def settings(self, versions: dict[int, ChannelSettings]) -> ChannelSettings:
        """Those of the member with the highest sequence."""
        return versions[max(self.events, key=lambda one: one.sequence).version]

    def due(self, versions: dict[int, ChannelSettings]) -> int:
        """The first millisecond at which the clock closes it."""
        settings, arrivals = self.settings(versions), [one.arrival for one in self.events]
        if self.live:
            return min(arrivals) + settings.live_window_ms
        return max(arrivals) + settings.gap_ms + settings.grace_ms + 1

    def near(self, ts: int, gap: int) -> bool:
        """Decision 5."""
        return self.events[0].ts - gap <= ts <= self.events[-1].ts + gap

    def parts(self, versions: dict[int, ChannelSettings], *, ending: bool) -> tuple[list[Part], "PlainRun"]:
        """What leaves by cuts, and what stays."""
        left: list[Part] = []
        run, count = self, 1
        while count < len(run.events):
            one, settings = run.events[count], run.settings(versions)
            if not ending and run.events[-1].ts < one.ts + settings.grace_ms:
                break
            reason = reason_to_cut(run.events[:count], one, settings, live=run.live)
            if reason:
                left.append((reason, list(run.events[:count])))
                run, count = replace(run, events=run.events[count:]), 0
            count += 1
        return left, run


Left = tuple[bytes, str, tuple[int, ...]]
"""User point, why, and the sequences of what left."""


class PlainFold:
    """All users at once. `apply` gives what left, without the states that were only saved."""

    def __init__(self, versions: dict[int, ChannelSettings]) -> None:
        self.versions = versions
        self.open: dict[bytes, list[PlainRun]] = {}

    def apply(self, record: Record, what: Happening) -> list[Left]:
        """The next record; `what` is the happening of an event."""
        user = record.user_point
        left = self.expire(user, record.arrival_ms)
        runs = self.open.setdefault(user, [])
        held = Held(what, record.sequence, record.arrival_ms, record.channel_version)
        if record.kind == RecordKind.ITEM:
            left.append((user, "item", (record.sequence,)))
        elif record.kind == RecordKind.CLOSE:
            ending = [run for run in runs if record.channel in ("", run.channel)]
            self.open[user] = [run for run in runs if run not in ending]
            left += self._end(user, ending, "request")
        elif record.kind == RecordKind.MERGE:
            left = [*self.expire(record.event, record.arrival_ms), *left]
            self.open[user] = self._joined([*runs, *self.open.pop(record.event, [])])
            left += self._cut(user)
        elif record.kind == RecordKind.LIVE:
            into = [run for run in runs if run.live and run.channel == record.channel]
            left += self._take(user, held, record.channel, into, live=True)
        else:
            mine = [run for run in runs if not run.live and run.channel == record.channel]
            settings = {run: run.settings(self.versions) for run in mine}
            passed = [
                run for run in mine if held.ts > run.events[-1].ts + settings[run].gap_ms + settings[run].grace_ms
            ]
            self.open[user] = [run for run in runs if run not in passed]
            left += self._end(user, passed, "gap")
            gap = self.versions[held.version].gap_ms
            into = [run for run in mine if run not in passed and run.near(held.ts, gap)]
            left += self._take(user, held, record.channel, into, live=False)
        return left

    def expire(self, user: bytes, now: int) -> list[Left]:
        """Decision 7a and 11."""
        runs = self.open.get(user, [])
        due = [run for run in runs if run.due(self.versions) <= now]
        self.open[user] = [run for run in runs if run not in due]
        left: list[Left] = []
        for run in sorted(due, key=lambda run: (run.due(self.versions), run.events[0].place)):
            left += self._end(user, [run], "live" if run.live else "inactivity")
        return left

    def _take(self, user: bytes, held: Held, channel: str, into: list[PlainRun], *, live: bool) -> list[Left]:
        events = [held, *(one for run in into for one in run.events)]
        self.open[user] = [
            *(run for run in self.open[user] if run not in into),
            PlainRun(live, channel, tuple(sorted(events, key=lambda one: one.place))),
        ]
        return self._cut(user)

    def _cut(self, user: bytes) -> list[Left]:
        left: list[Left] = []
        runs = []
        for run in sorted(self.open[user], key=lambda run: run.events[0].place):
            parts, rest = run.parts(self.versions, ending=False)
            left += self._named(user, parts)
            runs.append(rest)
        self.open[user] = runs
        return left

    def _end(self, user: bytes, runs: list[PlainRun], reason: str) -> list[Left]:
        left: list[Left] = []
        for run in sorted(runs, key=lambda run: run.events[0].place):
            parts, rest = run.parts(self.versions, ending=True)
            left += self._named(user, [*parts, (reason, list(rest.events))])
        return left

    def _named(self, user: bytes, parts: list[Part]) -> list[Left]:
        return [(user, reason, tuple(one.sequence for one in events)) for reason, events in parts]

    def _joined(self, runs: list[PlainRun]) -> list[PlainRun]:
        runs = sorted(runs, key=lambda run: (run.channel, run.live, run.events[0].place))
        for one, after in pairwise(runs):
            if (one.live, one.channel) != (after.live, after.channel):
                continue
            both = replace(one, events=tuple(sorted((*one.events, *after.events), key=lambda held: held.place)))
            if one.live or one.near(after.events[0].ts, both.settings(self.versions).gap_ms):
                return self._joined([both, *(run for run in runs if run is not one and run is not after)])
        return runs
