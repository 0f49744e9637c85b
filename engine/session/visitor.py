"""One user point's open sessions and live windows: a fold over the journal records of that user (decisions 3 to 8).

    apply(record)   1. what is due at the record's arrival closes            state left behind: up to the record before
                    2. the record does what it asks                          state left behind: up to this record
                       event   sessions that it passes close; it joins, joins up or opens one; cuts follow
                       live    it joins or opens the channel's live window; size cuts follow
                       item    it leaves as it is
                       close   all of a channel, or all, leaves
                       merge   another visitor's runs come in; cuts follow

What happens is a function of the records alone. A timer only does the first step early (`expire`), and what leaves in
one step leaves in an order that follows from its members.

What leaves is stored later, one transaction each, and a crash may fall between any two. So each `Closed` carries the
state as it is once all up to it are stored: what is open, and as *pending* what left behind it in the same step. A
restored visitor lets the pending go before anything else.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

from engine.model.fold_state import decode_fold_state
from engine.model.record import Record, RecordKind
from engine.session import boundary
from engine.session.closed import Closed, CloseReason, Source
from engine.session.live import LiveWindow
from engine.session.member import item_member, member_of
from engine.session.session import Channels, Leaving, Run, Session, place
from engine.session.state import from_state, sequences_of, state_of, states_behind

_EVENT = RecordKind.EVENT

MAX_OPEN = 64
"""Runs open at a time, over all channels. A person has a few; dozens take events that jump about in time, and each of
them costs every further event its share. It also bounds what a small request can have written: each closing saves a
state that lists the members of all that is open, and one request can close a thousand sessions. Where one more is to
open, the session that is due first closes: its gap has passed in event time, though not by enough for (7b)."""


class Visitor:
    """The fold of one user point. It knows no time but that of its arguments.

    Args:
        datamart, user_point: whose it is.
        channels: settings of a channel by key and version; it must know every version that an accepted record names.

    Attributes:
        is_put_off: whether the record that was last applied only joined a session that was open: nothing left, and
            what is due falls due no earlier than before.
    """

    __slots__ = ("_channels", "_open", "_pending", "_sequence", "datamart", "is_put_off", "user_point")

    def __init__(self, datamart: int, user_point: bytes, channels: Channels) -> None:
        self.datamart = datamart
        self.user_point = user_point
        self._channels = channels
        self._sequence = -1
        # Tuples: nearly always of one or none, and an empty one takes no memory.
        self._open: tuple[Run, ...] = ()
        self._pending: tuple[Leaving, ...] = ()
        self.is_put_off = False

    @property
    def is_empty(self) -> bool:
        """Whether nothing is open and nothing is still to leave: its actor may end (decision 4)."""
        return not self._open and not self._pending

    @property
    def open_sessions(self) -> int:
        """How many sessions are open; live windows do not count."""
        return sum(isinstance(run, Session) for run in self._open)

    @property
    def open_events(self) -> int:
        """Received events that its sessions and live windows hold (decision 17)."""
        return sum(member.weight for run in self._open for member in run.members)

    @property
    def held_bytes(self) -> int:
        """About how much memory its events take."""
        return sum(run.held_bytes for run in self._open)

    def due_at(self) -> int | None:
        """The first millisecond at which something is due; None when nothing is open."""
        if self._pending:
            return 0
        if len(self._open) == 1:
            return self._open[0].due_ms
        return min([run.due_ms for run in self._open], default=None)

    def snapshots(self) -> tuple[Closed, ...]:
        """What is open, as it would leave if it ended now, in the order of its times; nothing changes (decision 11)."""
        leaving = _end(sorted([run.copy() for run in self._open], key=_first_place), _due_reason, self._channels)
        return tuple(self._closed(part, None, saves_state=False) for part in leaving)

    def apply(self, record: Record) -> tuple[Closed, ...]:
        """What leaves because of the user's next record. One that was applied before is ignored.

        Args:
            record: records of one user come in the order of their sequences, and their arrivals never go backwards.
        """
        if self.extend(record):
            return ()
        self.is_put_off = False
        if record.sequence <= self._sequence:
            return self._leave(self._take_pending())
        match record.kind:
            case RecordKind.EVENT | RecordKind.LIVE:
                return self._apply_event(record)
            case RecordKind.ITEM:
                return self._apply_item(record)
            case RecordKind.CLOSE:
                return self._apply_close(record)
            case _:
                return self.absorb(None, record)

    def extend(self, record: Record) -> bool:
        """Apply the user's next record where it is an event that follows the session which is all there is, and makes
        nothing leave: most events. False: nothing has happened, ask `apply`, which comes to the same in twice the time.
        """
        sequence = record.sequence
        if len(self._open) != 1 or self._pending or record.kind != _EVENT or sequence <= self._sequence:
            return False
        run = self._open[0]
        if type(run) is not Session or not run.extend(record):
            return False
        self._sequence = sequence
        self.is_put_off = True
        return True

    def expire(self, now_ms: int) -> tuple[Closed, ...]:
        """What is due at `now_ms`, in the order in which it fell due.

        Args:
            now_ms: the time, in the clock that stamps arrivals. All records with an earlier arrival must have been
                applied; otherwise a replay would see them join what the timer had closed.
        """
        due = self._take(lambda run: run.due_ms <= now_ms)
        due.sort(key=_due_place)
        return self._leave([*self._take_pending(), *_end(due, _due_reason, self._channels)])

    def absorb(self, other: "Visitor | None", record: Record) -> tuple[Closed, ...]:
        """What leaves when another user point merges into this one (decision 3). `other` is empty afterwards.

        What was due of either closes first, each under its own user point. Then sessions that belong together by
        decision 5 become one, and the cut tests run again.

        Args:
            other: the absorbed user point's visitor, or None when it has none.
            record: the MERGE record; its sequence is above all that either has seen.
        """
        if record.sequence <= self._sequence:
            return self._leave(self._take_pending())
        due = self.expire(record.arrival_ms)
        if other is not None:
            due = (*other.expire(record.arrival_ms), *due)
            self._open, other._open = _merged((*self._open, *other._open)), ()
        self._sequence = record.sequence
        leaving = self._make_room(0)
        leaving += [part for run in sorted(self._open, key=_first_place) for part in run.cut(self._channels)]
        moved = Leaving(Source.STATE, records=(record.sequence,), absorbed=record.event)
        # Whichever is stored first saves the members that moved, so the state they were in goes away with it.
        return (*due, *self._leave([*leaving, moved], absorbed=record.event))

    def _extended(self, record: Record) -> Run | None:
        """The session that is all there is, where the event just joins it: most events. None says nothing.

        It comes to what `_apply_event` does in this case, in half the time.
        """
        if len(self._open) != 1 or self._pending or record.kind != _EVENT:
            return None
        run = self._open[0]
        settings = run.settings
        if (
            type(run) is not Session
            or run.channel != record.channel
            or settings.version != record.channel_version
            or run.due_ms <= record.arrival_ms
            # What joins a session has not passed it.
            or not boundary.joins(run.first_ms, run.last_ms, record.ts_ms, settings.gap_ms)
        ):
            return None
        run.insert(member_of(record, settings, run.members[-1]), settings)
        return run

    def _apply_event(self, record: Record) -> tuple[Closed, ...]:
        extended = self._extended(record)
        if extended is not None:
            self._sequence = record.sequence
            cut_off = extended.cut(self._channels)
            self.is_put_off = not cut_off
            return self._leave(cut_off) if cut_off else ()
        # What can raise comes before anything changes: a record that cannot be read costs nobody a session.
        settings = self._channels(record.channel, record.channel_version)
        member = member_of(record, settings, self._open[0].members[-1] if self._open else None)
        due = self._expire_before(record)
        kind = Session if record.kind == RecordKind.EVENT else LiveWindow
        passed: list[Run] = []
        joined: list[Run] = []
        for run in self._open:
            if type(run) is not kind or run.channel != record.channel:
                continue
            if kind is LiveWindow:
                joined.append(run)
            elif boundary.passes(run.last_ms, record.ts_ms, run.settings):
                passed.append(run)
            elif boundary.joins(run.first_ms, run.last_ms, record.ts_ms, settings.gap_ms):
                joined.append(run)
        gone = passed + joined[1:]
        if gone:
            self._open = tuple([run for run in self._open if run not in gone])
        leaving = _end(sorted(passed, key=_first_place), lambda run: CloseReason.GAP, self._channels) if passed else []
        if joined:
            run = joined[0]
            for other in joined[1:]:
                run.merge(other)
            run.insert(member, settings)
        else:
            run = kind(record.channel, settings, (member,))
            leaving += self._make_room(1)
            self._open = (*self._open, run)
        self._sequence = record.sequence
        leaving += run.cut(self._channels)
        return (*due, *self._leave(leaving)) if leaving else due

    def _apply_item(self, record: Record) -> tuple[Closed, ...]:
        settings = self._channels(record.channel, record.channel_version) if record.channel else None
        item = Leaving(Source.ITEM, None, settings, (item_member(record, settings),))
        due = self._expire_before(record)
        self._sequence = record.sequence
        # The saved state stays as it is: it knows nothing of the item, whose record goes when its activity is stored.
        return (*due, self._closed(item, None, saves_state=False))

    def _apply_close(self, record: Record) -> tuple[Closed, ...]:
        due = self._expire_before(record)
        self._sequence = record.sequence
        ending = self._take(lambda run: not record.channel or run.channel == record.channel)
        leaving = _end(sorted(ending, key=_first_place), lambda run: CloseReason.REQUEST, self._channels)
        return (*due, *self._leave([*leaving, Leaving(Source.STATE, records=(record.sequence,))]))

    def _expire_before(self, record: Record) -> tuple[Closed, ...]:
        due_ms = self.due_at()
        return self.expire(record.arrival_ms) if due_ms is not None and due_ms <= record.arrival_ms else ()

    def _make_room(self, count: int) -> list[Leaving]:
        """Close sessions for `count` more runs to find room below `MAX_OPEN`."""
        excess = len(self._open) + count - MAX_OPEN
        if excess <= 0:
            return []
        sessions = sorted((run for run in self._open if isinstance(run, Session)), key=_due_place)[:excess]
        self._open = tuple([run for run in self._open if run not in sessions])
        return _end(sessions, lambda run: CloseReason.GAP, self._channels)

    def _take(self, wanted: Callable[[Run], bool]) -> list[Run]:
        taken = [run for run in self._open if wanted(run)]
        if taken:
            self._open = tuple([run for run in self._open if not wanted(run)])
        return taken

    def _take_pending(self) -> tuple[Leaving, ...]:
        pending, self._pending = self._pending, ()
        return pending

    def _leave(self, leaving: Sequence[Leaving], absorbed: bytes = b"") -> tuple[Closed, ...]:
        """Each part with the state that is left once it and those before it are stored."""
        states = states_behind(self._sequence, self._open, leaving)
        return tuple(
            [
                self._closed(part, state, absorbed=absorbed or part.absorbed)
                for part, state in zip(leaving, states, strict=True)
            ]
        )

    def _closed(self, part: Leaving, state: bytes | None, *, saves_state: bool = True, absorbed: bytes = b"") -> Closed:
        return Closed(
            source=part.source,
            datamart=self.datamart,
            user_point=self.user_point,
            sequences=(*sequences_of(part.members), *part.records),
            reason=part.reason,
            channel=part.channel,
            members=part.members,
            state=state,
            saves_state=saves_state,
            absorbed=absorbed,
            part=part.part,
        )

    def snapshot(self) -> bytes | None:
        """All that `restore` needs beside the journal's records; None when nothing is held."""
        return state_of(self._sequence, self._open, self._pending)

    @classmethod
    def restore(
        cls, datamart: int, user_point: bytes, channels: Channels, state: bytes, records: Mapping[int, Record]
    ) -> "Visitor":
        """The visitor that saved `state`.

        Args:
            datamart, user_point, channels: as for a new one.
            state: what `snapshot` gave, or a `Closed` carried.
            records: the journal's records, at least those that `state_sequences` names.

        Raises:
            ValueError: the state is damaged, or a record that it holds is missing.
        """
        visitor = cls(datamart, user_point, channels)
        visitor._sequence, visitor._open, visitor._pending = from_state(state, records, channels)
        return visitor

    @staticmethod
    def state_sequences(state: bytes) -> tuple[int, tuple[int, ...]]:
        """The last record a state covers, and the journal records that it holds.

        A record that it covers and does not hold has left the journal. Held are the events of what was open or on its
        way, and the merge or request to close that was; some may name a user point that was absorbed.

        Raises:
            ValueError: the state is damaged.
        """
        saved = decode_fold_state(state)
        return saved.sequence, saved.sequences()


def _end(runs: Iterable[Run], reason: Callable[[Run], CloseReason], channels: Channels) -> list[Leaving]:
    return [part for run in runs for part in run.close(reason(run), channels)]


def _due_reason(run: Run) -> CloseReason:
    return CloseReason.INACTIVITY if isinstance(run, Session) else CloseReason.LIVE


def _first_place(run: Run) -> tuple[int, int]:
    return place(run.members[0])


def _due_place(run: Run) -> tuple[int, tuple[int, int]]:
    return run.due_ms, _first_place(run)


def _merged(runs: Sequence[Run]) -> tuple[Run, ...]:
    """The runs of two visitors, those made one that belong together: windows of a channel, sessions by decision 5."""
    kept: list[Run] = []
    latest: dict[tuple[Source, str], Run] = {}
    for run in sorted(runs, key=_first_place):
        before = latest.get((run.source, run.channel))
        if before is not None and _belong_together(before, run):
            before.merge(run)
        else:
            latest[run.source, run.channel] = run
            kept.append(run)
    # A merged session has the settings of its newest event, and these may reach further than those it began with.
    return tuple(kept) if len(kept) == len(runs) else _merged(kept)


def _belong_together(earlier: Run, later: Run) -> bool:
    if not isinstance(earlier, Session):
        return True
    gap_ms = max(earlier, later, key=lambda run: max(sequences_of(run.members))).settings.gap_ms
    return boundary.joins(earlier.first_ms, earlier.last_ms, later.first_ms, gap_ms)
