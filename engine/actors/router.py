"""The registry of active user points: find-or-spawn and delivery in one synchronous step (decision 4).

Nothing here awaits between looking an entry up and putting a message into its mailbox. That is the one point on
which "no event falls between two actors" rests.
"""

import contextvars
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import trio

from engine.actors.mailbox import Mailbox
from engine.actors.supervisor import Quarantine
from engine.actors.user_actor import Absorb, Entry, Expire, Handoff, Leave, Release, UserKey, apply_records, run_user
from engine.actors.wheel import Wheel
from engine.model.channel import ChannelSettings
from engine.model.record import Record
from engine.pipeline.stage import Envelope
from engine.session.visitor import Visitor

MERGE_BYTES = 256
"""What a merge weighs in a mailbox; it carries no payload."""

ChannelAt = Callable[[int, str, int], ChannelSettings]
"""Settings of (datamart, channel key, version): a record is folded under the version it was accepted under."""


@dataclass(frozen=True, slots=True)
class RouterStatistics:
    """How many actors live, the most that ever did, and what went wrong among them."""

    live_users: int
    peak_live_users: int
    spawned: int
    failures: int
    quarantined: int
    open_sessions: int
    unstored: int


class Router:
    """Delivers records to user actors, and holds what they share.

    Args:
        nursery: the actors'; it ends when the last of them has.
        wheel: where visitors wait for their due time.
        channel_at: settings by version.
        first_stage: the chain's entrance.
        now_ms: engine time.
        report: told of failing messages: name and error as text.
        quarantine: user points whose messages keep failing.
        mailbox_messages, mailbox_bytes: bound of each mailbox.
        max_closing: envelopes in the chain beyond which timers wait; below the bound at which senders are refused.
    """

    def __init__(
        self,
        *,
        nursery: trio.Nursery,
        wheel: Wheel[Entry],
        channel_at: ChannelAt,
        first_stage: "trio.MemorySendChannel[list[Envelope]]",
        now_ms: Callable[[], int],
        report: Callable[[str, str], None],
        quarantine: Quarantine[UserKey],
        mailbox_messages: int,
        mailbox_bytes: int,
        max_closing: int = 10_000,
    ) -> None:
        self._nursery = nursery
        self._wheel = wheel
        self._channel_at = channel_at
        self._first_stage = first_stage
        self._now_ms = now_ms
        self._report = report
        self._quarantine = quarantine
        self._mailbox_messages = mailbox_messages
        self._mailbox_bytes = mailbox_bytes
        self._max_closing = max_closing
        self._settled = trio.lowlevel.ParkingLot()
        self._entries: dict[UserKey, Entry] = {}
        self._by_datamart: dict[int, Callable[[str, int], ChannelSettings]] = {}
        # An actor spawned from inside a request would keep that request's context alive for its whole life.
        self._context = contextvars.copy_context()
        self._peak = 0
        self._spawned = 0
        self._failures = 0
        self._open_sessions = 0
        self.unstored = 0
        """Envelopes handed to the chain and not yet settled by the store."""
        # By user point, then by identity: what has left a visitor and is not stored yet, for live reads.
        self._leaving: dict[UserKey, dict[int, Envelope]] = {}

    def has_room(self, key: UserKey, size_bytes: int, messages: int = 1) -> bool:
        """Whether `deliver` would take messages of so many bytes for this user point now."""
        entry = self._entries.get(key)
        # A request makes several messages where it merges users. An empty mailbox takes any legal request.
        return entry is None or entry.mailbox.is_empty() or entry.mailbox.has_room(size_bytes, messages)

    def is_at_leisure(self, key: UserKey) -> bool:
        """Whether the user point is active and nothing waits for its actor: it takes any legal request."""
        entry = self._entries.get(key)
        return entry is not None and entry.mailbox.is_empty()

    def at_leisure(self, keys: Iterable[UserKey]) -> list[Entry] | None:
        """The entries of user points for `deliver_to`, in order; None unless all of them are at leisure.

        They hold until the step ends, if nobody is merged meanwhile.
        """
        entries: list[Entry] = []
        for key in keys:
            entry = self._entries.get(key)
            if entry is None or entry.mailbox.messages:
                return None
            entries.append(entry)
        return entries

    def deliver_to(self, entry: Entry, records: Sequence[Record], size_bytes: int) -> None:
        """`deliver` to an entry that `at_leisure` gave in this step."""
        # As `Entry.is_idle`, but for the call.
        if not entry.is_waiting or entry.mailbox.messages:
            entry.mailbox.put(records, size_bytes)
            return
        # A record that just joins a session leaves as many of them open, and the wheel looks at the entry before it is
        # due: nothing else is to do.
        if len(records) == 1 and entry.bucket is not None and not (self._failures and self.quarantined(entry.key)):
            try:
                if entry.visitor.extend(records[0]):
                    return
            except Exception:
                pass  # It raises again where it is told.
        self._apply(entry, records)

    def deliver(self, key: UserKey, records: Sequence[Record], size_bytes: int) -> None:
        """Give records to the user point's actor, spawning it when there is none.

        They are taken whatever waits already: they are in the journal. Who may still refuse asks `has_room` before.

        To an idle actor the records are applied here and now, on its behalf: nothing it was sent is unapplied and
        nothing it closed is unsent, so it could do no other. Most events close nothing, and waking a task only to
        find that costs more than the rest of a delivery (a third of the whole way of an event, measured).
        """
        entry = self._entries.get(key)
        if entry is None:
            entry = self._spawn(key, Visitor(key[0], key[1], self._channels(key[0])))
        self.deliver_to(entry, records, size_bytes)

    def _apply(self, entry: Entry, records: Sequence[Record]) -> None:
        leaving = apply_records(entry, self, records)
        if leaving:
            self._note(leaving)
            entry.mailbox.put(Leave(leaving), 0)
            return
        if len(records) == 1 and entry.visitor.is_put_off and entry.bucket is not None:
            return  # As many sessions as before, and the wheel looks at the entry before it is due.
        try:
            self.recount(entry, entry.visitor.open_sessions)
            self.schedule(entry)
        except Exception as error:  # As in `_live`: what goes wrong with one user must not reach the request.
            self.failed(entry, error)

    def merge(self, record: Record) -> None:
        """Move the sessions of the user point named in a MERGE record to the record's own (decision 3)."""
        absorbed = self._entries.pop((record.datamart, record.event), None)
        handoff: Handoff | None = None
        if absorbed is not None:
            handoff = Handoff()
            self._wheel.remove(absorbed)
            absorbed.mailbox.put(Release(handoff), 0)
        key = (record.datamart, record.user_point)
        entry = self._entries.get(key) or self._spawn(key, Visitor(key[0], key[1], self._channels(key[0])))
        entry.mailbox.put(Absorb(record, handoff), MERGE_BYTES)

    def adopt(self, key: UserKey, state: bytes, records: "dict[int, Record]") -> None:
        """Spawn an actor with a saved fold state (recovery). Its due time counts from here on."""
        entry = self._spawn(key, Visitor.restore(key[0], key[1], self._channels(key[0]), state, records))
        self.recount(entry, entry.visitor.open_sessions)
        self.schedule(entry)

    def reinstate(self, visitor: Visitor) -> None:
        """Give a visitor that could not be absorbed an actor of its own again."""
        entry = self._spawn((visitor.datamart, visitor.user_point), visitor)
        self.recount(entry, visitor.open_sessions)
        self.schedule(entry)

    def _spawn(self, key: UserKey, visitor: Visitor) -> Entry:
        entry = Entry(key, visitor, Mailbox(self._mailbox_messages, self._mailbox_bytes))
        self._entries[key] = entry
        self._spawned += 1
        self._peak = max(self._peak, len(self._entries))
        self._context.run(partial(self._nursery.start_soon, self._live, entry, name="user"))
        return entry

    async def _live(self, entry: Entry) -> None:
        # Supervision is the point here: what goes wrong in one actor must not cancel its siblings. The entry holds
        # all state, so the loop just begins again; it waits for a message first and cannot spin.
        while True:
            try:
                return await run_user(entry, self)
            except Exception as error:
                self.failed(entry, error)

    def _channels(self, datamart: int) -> Callable[[str, int], ChannelSettings]:
        found = self._by_datamart.get(datamart)
        if found is None:
            channel_at = self._channel_at

            def of_datamart(key: str, version: int) -> ChannelSettings:
                return channel_at(datamart, key, version)

            found = self._by_datamart[datamart] = of_datamart
        return found

    async def room_to_close(self) -> None:
        """Return when timers may close more.

        They can wait for the chain, senders cannot: what closes must not fill it up to the bound that they hear.
        """
        while self.unstored > self._max_closing:
            await self._settled.park()

    def expire(self, entry: Entry, now_ms: int) -> None:
        """The wheel found the entry due: ask its visitor, and look again later when it is not idle after all."""
        due_ms = entry.visitor.due_at()
        if self._entries.get(entry.key) is not entry:
            return
        if due_ms is not None and due_ms > now_ms:
            self._wheel.schedule(entry, due_ms)
        elif not entry.mailbox.offer(Expire(now_ms), 0):
            self._wheel.schedule(entry, now_ms)  # A full mailbox is not idle: the next second.

    def expire_failed(self, entry: Entry, error: str) -> None:
        """`expire` raised for an entry; its neighbours go on."""
        self._failures += 1
        self._report("reaper", error)

    def failed(self, entry: Entry, error: Exception) -> None:
        """A message of this user raised. Keeps the text only: a traceback would keep every frame alive."""
        self._failures += 1
        self._report("user", repr(error))
        self._quarantine.failed(entry.key, self._now_ms())

    def quarantined(self, key: UserKey) -> bool:
        """Whether events of this user point become dead letters for now."""
        return self._failures > 0 and self._quarantine.holds(key, self._now_ms())

    def recount(self, entry: Entry, open_sessions: int) -> None:
        """Note how many sessions the user point has open now."""
        self._open_sessions += open_sessions - entry.counted_sessions
        entry.counted_sessions = open_sessions

    def schedule(self, entry: Entry) -> None:
        """Look at the entry again when its visitor is next due."""
        due_ms = entry.visitor.due_at()
        if due_ms is not None and self._entries.get(entry.key) is entry:
            self._wheel.schedule(entry, due_ms)

    def retire(self, entry: Entry) -> None:
        """Take an entry out of the registry, as the last step of its actor."""
        self._wheel.remove(entry)
        if self._entries.get(entry.key) is entry:
            del self._entries[entry.key]

    async def hand_over(self, envelopes: list[Envelope]) -> None:
        """Send what closed into the chain; a full chain makes the actor wait, and its mailbox fill."""
        self.unstored += len(envelopes)
        self._note(envelopes)
        await self._first_stage.send(envelopes)

    def settled(self, envelopes: Sequence[Envelope]) -> None:
        """These envelopes are stored, or are what else became of them."""
        self.unstored -= len(envelopes)
        self._settled.unpark_all()
        for envelope in envelopes:
            key = _key_of(envelope)
            of_user = self._leaving.get(key)
            if of_user is not None:
                of_user.pop(id(envelope), None)
                if not of_user:
                    del self._leaving[key]

    def leaving(self, key: UserKey) -> list[Envelope]:
        """What has left a user point's visitor and is not stored yet, in order; for reading only."""
        return list(self._leaving.get(key, {}).values())

    def _note(self, envelopes: Sequence[Envelope]) -> None:
        for envelope in envelopes:
            self._leaving.setdefault(_key_of(envelope), {})[id(envelope)] = envelope

    def visitor(self, key: UserKey) -> Visitor | None:
        """The visitor of an active user point, for reading only."""
        entry = self._entries.get(key)
        return entry.visitor if entry is not None else None

    def active(self) -> list[UserKey]:
        """All active user points."""
        return list(self._entries)

    @property
    def live_users(self) -> int:
        """Active user points now."""
        return len(self._entries)

    async def close(self, slice_size: int = 500) -> None:
        """Close all mailboxes in slices: the actors end, what is open stays in the journal (house: Stop)."""
        for index, entry in enumerate(list(self._entries.values())):
            entry.mailbox.close()
            if index % slice_size == slice_size - 1:
                await trio.lowlevel.checkpoint()

    def statistics(self) -> RouterStatistics:
        """Counts for the metrics."""
        return RouterStatistics(
            live_users=len(self._entries),
            peak_live_users=self._peak,
            spawned=self._spawned,
            failures=self._failures,
            quarantined=self._quarantine.statistics().held,
            open_sessions=self._open_sessions,
            unstored=self.unstored,
        )


def _key_of(envelope: Envelope) -> UserKey:
    return envelope.closed.datamart, envelope.closed.user_point
