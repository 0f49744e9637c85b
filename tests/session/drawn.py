"""What Hypothesis draws for the fold: small numbers, so that edges meet: a gap of 10 ms, days of 100 ms."""

from collections.abc import Callable
from dataclasses import replace

from hypothesis import strategies as st

from engine.model.channel import ChannelSettings
from engine.model.record import Record, RecordKind
from tests.session.build import NOON, record_of, settings
from tests.session.oracle import Happening

DAY = 120


def rules(version: int = 1, **changed: object) -> ChannelSettings:
    """Settings with small numbers; about four events fit."""
    small = {"gap_ms": 10, "grace_ms": 6, "max_session_ms": 40, "live_window_ms": 15, "max_activity_chars": 480}
    return settings(version, **small | changed)


def happenings(times: st.SearchStrategy[int]) -> st.SearchStrategy[Happening]:
    """Events at these times behind noon; most say nothing about where they come from."""
    return st.builds(
        Happening,
        times.map(lambda ts: NOON + ts),
        st.sampled_from(["", "", "", "a", "a", "b"]),
        st.sampled_from(["", "", "", "x.test", "y.test", "shop.test"]),
        st.sampled_from(["", "", "text", "tüxt" * 5, "𝕏" * 60]),
        st.sampled_from([None, None, 1, 2222]),
    )


some_rules = st.builds(
    rules,
    gap_ms=st.sampled_from([10, 3]),
    grace_ms=st.sampled_from([0, 1, 6, 25]),
    max_session_ms=st.sampled_from([40, 12, 10**6]),
    max_activity_chars=st.sampled_from([480, 10**6]),
)

USERS = [f"user-point-{number:05}".encode() for number in range(2)]
VERSIONS = {
    1: rules(1),
    2: rules(2, gap_ms=25, grace_ms=0, max_session_ms=8),
    3: rules(3, gap_ms=4, grace_ms=15, max_activity_chars=330),
}
TOUCH = b'{"$type":"TOUCH","$session_status":"NO_SESSION","$user_agent_id":"a"}'

Sent = tuple[Record, Happening]


class Journalist:
    """Gives records their sequence, arrival, user point and settings version, as `accept` does."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []
        self.now = NOON
        self.version = 1
        self.alias = {user: user for user in USERS}

    def event(self, user: bytes, what: Happening, **fields: object) -> Sent:
        """An event, its time counted from now."""
        moved = replace(what, ts=what.ts + self.now - NOON)
        given = {"version": self.version, "user": self.alias[user]} | fields
        return self._keep(moved.record(len(self.sent) + 1, self.now, **given), moved)

    def ask(self, kind: RecordKind, user: bytes, event: bytes = b"", channel: str = "", weight: int = 0) -> Sent:
        """Any other record."""
        record = record_of(
            len(self.sent) + 1,
            self.now,
            kind=kind,
            user=self.alias[user],
            channel=channel,
            event=event,
            weight=weight,
            version=self.version,
            root=TOUCH,
        )
        return self._keep(record, Happening(self.now))

    def merge(self, user: bytes, other: bytes) -> Sent | None:
        """`other` is absorbed, unless they are one already."""
        survivor, absorbed = self.alias[user], self.alias[other]
        if survivor == absorbed:
            return None
        sent = self.ask(RecordKind.MERGE, user, absorbed)
        self.alias = {one: survivor if now == absorbed else now for one, now in self.alias.items()}
        return sent

    def close_all(self) -> list[Sent]:
        """The end of a replay."""
        return [self.ask(RecordKind.CLOSE, user) for user in sorted(set(self.alias.values()))]

    def _keep(self, record: Record, what: Happening) -> Sent:
        self.sent.append((record, what))
        return record, what


users = st.sampled_from(USERS)
channels = st.sampled_from(["site:1", "site:1", "site:1", "site:2"])
near = happenings(st.integers(-35, 12))
Step = Callable[[Journalist], object]

events = st.tuples(users, near, channels).map(lambda one: lambda on: on.event(one[0], one[1], channel=one[2]))
lives = st.tuples(users, near, channels).map(
    lambda one: lambda on: on.event(one[0], one[1], channel=one[2], kind=RecordKind.LIVE)
)
pauses = st.sampled_from([1, 2, 5, 8, 11, 17, 50]).map(lambda one: lambda on: setattr(on, "now", on.now + one))
changes = st.sampled_from([1, 2, 3]).map(lambda one: lambda on: setattr(on, "version", one))
touches = users.map(lambda one: lambda on: on.ask(RecordKind.ITEM, one, b"[]", weight=1))
requests = st.tuples(users, st.sampled_from(["", "site:1"])).map(
    lambda one: lambda on: on.ask(RecordKind.CLOSE, one[0], channel=one[1])
)
merges = st.tuples(users, users).map(lambda one: lambda on: on.merge(*one))

steps: st.SearchStrategy[Step] = st.one_of(
    *[events] * 8, *[pauses] * 3, *[lives] * 2, *[changes] * 2, *[merges] * 2, touches, requests
)
"""What may happen to a journalist; events and pauses most often."""


def journals(max_size: int) -> st.SearchStrategy[list[Sent]]:
    """All that two users send, then a request that closes all. Any settings version may follow any other."""

    def play(drawn: list[Step]) -> list[Sent]:
        on = Journalist()
        for step in drawn:
            step(on)
        on.close_all()
        return on.sent

    # Hypothesis likes short lists, and little happens in those.
    return st.lists(steps, min_size=max_size // 2, max_size=max_size).map(play)
