"""After a start: saved fold states, then the journal's records behind each, until nothing new is left (decision 8).

    journal  1 2 3 4 5 6 7 8 9 …            A record at or before its user's saved state is a member of what was open:
    state of A: last 6, members 2 5            its payload is put back. One behind it is routed as the first time.

Meanwhile `accept` only journals, and what arrives is read here in its place. Near the end of the journal `accept` is
asked to keep at hand what arrives from then on: up to that mark the journal is read, behind it what was kept is
routed, and routing begins, in one synchronous step. So recovery ends however fast events come in, and no record is
routed twice or not at all.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Protocol

import trio

from engine.actors.router import Router
from engine.actors.user_actor import UserKey, dead_envelope
from engine.model.record import Record, RecordKind, record_size_bytes
from engine.session.visitor import Visitor

PAGE: Final = 1000
"""Records read at a time, in a thread."""

WAIT_S: Final = 0.005
"""Pause before a full mailbox is looked at again."""


class Gate(Protocol):
    """The side of `accept` that recovery sees."""

    def hold_back(self) -> int:
        """Keep at hand what is accepted from now on; returns the last sequence before that."""
        ...

    async def flushed(self) -> None:
        """Return when everything accepted so far is in the journal."""
        ...

    def found(self, records: Sequence[Record]) -> None:
        """These were read."""
        ...

    def open(self) -> None:
        """Route what was kept, and everything from now on as it comes."""
        ...


class Journal(Protocol):
    """What recovery reads. Both calls may block and run in a thread."""

    def states(self) -> Iterable[tuple[UserKey, bytes]]:
        """All saved fold states."""
        ...

    def records(self, after: int, limit: int) -> Sequence[Record]:
        """Up to `limit` committed records behind a sequence, in order."""
        ...


@dataclass(slots=True)
class _Saved:
    """A saved state, waiting for the records of its members."""

    state: bytes
    last_sequence: int
    missing: set[int]
    records: dict[int, Record] = field(default_factory=dict)


@dataclass(slots=True)
class RecoveryStatistics:
    """How far recovery is.

    Attributes:
        records, states: read so far.
        orphans: records that a saved state should hold and does not; they become dead letters.
        damaged: saved states that could not be used.
        finished: whether routing has begun.
    """

    records: int = 0
    states: int = 0
    orphans: int = 0
    damaged: int = 0
    finished: bool = False


class Recovery:
    """Reads what the last run left and routes it.

    Args:
        journal: where to read.
        router: where records go.
        gate: where what arrives meanwhile is kept.
    """

    def __init__(self, journal: Journal, router: Router, gate: Gate) -> None:
        self._journal = journal
        self._router = router
        self._gate = gate
        self._saved: dict[UserKey, _Saved] = {}
        # By sequence and not by the record's user point: a merge moves members to another one (decision 3).
        self._owners: dict[int, UserKey] = {}
        self.statistics = RecoveryStatistics()
        self.done = trio.Event()

    async def run(self) -> None:
        """Return when routing has begun."""
        for key, state in await trio.to_thread.run_sync(lambda: list(self._journal.states())):
            try:
                last, members = Visitor.state_sequences(state)
            except ValueError:
                # What it held is not known, but the records are there: they are folded again, from the first.
                self.statistics.damaged += 1
                continue
            self._saved[key] = _Saved(state, last, set(members))
            self._owners.update(dict.fromkeys(members, key))
            self.statistics.states += 1
        last_read = await self._read_on(0, None)
        mark = self._gate.hold_back()
        await self._gate.flushed()
        await self._read_on(last_read, mark)
        # Adopted already, but for states that lost members to damage: what is left of them goes on.
        for key in list(self._saved):
            await self._adopt(key)
        self._gate.open()
        self.statistics.finished = True
        self.done.set()

    async def _read_on(self, last_read: int, mark: int | None) -> int:
        """Route what the journal holds behind `last_read`, up to `mark` if given; returns the last sequence read."""
        while records := await trio.to_thread.run_sync(partial(self._journal.records, last_read, PAGE)):
            wanted = records if mark is None else [record for record in records if record.sequence <= mark]
            self._gate.found(wanted)
            await self._route(wanted)
            self.statistics.records += len(wanted)
            last_read = records[-1].sequence
            if len(wanted) < len(records):
                break
        return last_read

    async def _route(self, records: Sequence[Record]) -> None:
        by_user: dict[UserKey, list[Record]] = {}
        for record in records:
            owner = self._owners.pop(record.sequence, None)
            if owner is not None:
                await self._put_back(owner, record)
                continue
            key = (record.datamart, record.user_point)
            saved = self._saved.get(key)
            if saved is not None and record.sequence <= saved.last_sequence:
                self.statistics.orphans += 1
                orphan = dead_envelope(record, "orphan_record", "covered by a saved state that does not hold it")
                await self._router.hand_over([orphan])
                continue
            if saved is not None:
                await self._adopt(key)
            if record.kind == RecordKind.MERGE:
                # What came before it must be with both actors; nothing of another user waits for order.
                await self._deliver_all(by_user)
                absorbed = (record.datamart, record.event)
                if absorbed in self._saved:
                    await self._adopt(absorbed)
                self._router.merge(record)
            else:
                by_user.setdefault(key, []).append(record)
        await self._deliver_all(by_user)

    async def _put_back(self, owner: UserKey, record: Record) -> None:
        saved = self._saved[owner]
        saved.missing.discard(record.sequence)
        saved.records[record.sequence] = record
        if not saved.missing:
            await self._adopt(owner)

    async def _adopt(self, key: UserKey) -> None:
        saved = self._saved.pop(key)
        try:
            self._router.adopt(key, saved.state, saved.records)
        except (ValueError, LookupError) as error:
            # Damage: a record it holds is gone, or cannot be read. What is left of it must not stay silent.
            self.statistics.damaged += 1
            self.statistics.orphans += len(saved.records)
            letters = [dead_envelope(record, "damaged_state", str(error)) for record in saved.records.values()]
            await self._router.hand_over(letters)

    async def _deliver_all(self, by_user: dict[UserKey, list[Record]]) -> None:
        for key, records in by_user.items():
            size_bytes = sum(record_size_bytes(record) for record in records)
            while not self._router.has_room(key, size_bytes):  # noqa: ASYNC110 - a mailbox announces no room
                await trio.sleep(WAIT_S)
            self._router.deliver(key, records, size_bytes)
        by_user.clear()
