"""`Engine.explain` and `sojourn explain`: from what somebody has at hand to an envelope, and what becomes of it.

    an activity as one would send it ─▶ checked as at the door ─▶ whose it is ─▶ its session closes ┐
    a stored one, by user, $ts and $unique_key ─▶ as it is stored ──────────────────────────────────┼▶ chain
    a dead letter ─▶ what was lost, as it was ──────────────────────────────────────────────────────┘

Nothing is stored, and nobody else sees what the steps would change.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final
from uuid import UUID

import trio
from msgspec import structs

from engine.actors.analysts.callables import look_in
from engine.actors.analysts.oracle import open_analysts
from engine.actors.examine import Examined, Rules, events_array, examine
from engine.actors.identities import Identities, Overlay
from engine.clock import Clock, SystemClock
from engine.errors import CallerError
from engine.explaining import ChainOf, Explanation, StepExplained, explain_envelope
from engine.identity.placeholders import Placeholders
from engine.live import Definitions, definitions_of
from engine.model.channel import ChannelSettings
from engine.model.record import Record, RecordKind
from engine.model.wire import decode_fields, decode_list, encode_fields, text_of
from engine.pipeline.asking import Oracle
from engine.pipeline.chain import build_chain
from engine.pipeline.stage import Envelope
from engine.planning import load, plan
from engine.selector import Selector
from engine.session.closed import Closed, CloseReason, Member, Source
from engine.session.member import item_member, member_of
from engine.settings import Settings
from engine.store import journal, reads
from engine.store.environment import LmdbStore
from engine.store.layout import DeadLetter
from engine.store.port import Store

MAX_DEAD_LETTER: Final = 10_000
"""How far back a dead letter may be asked for by its place in the list."""

ACCEPT: Final = "accept"

_STORED: Final = (
    "It was stored after all steps: what they had removed (page views, for one) is gone, and what they had added is"
    " there already.",
    "The steps see what is known of the person now, not what was known then.",
)
_SESSION: Final = "As if its session had these events and no others, and closed now."
_LETTER: Final = "The steps see definitions and the person as they are now, not as they were when it died."


class Explainer:
    """Explains. Reads only.

    Args:
        store: what is known and stored.
        definitions: what holds now.
        clock: for what has no time of its own.
        oracle: who answers the questions of steps; analyzers are asked as ever, that is all that leaves. Nobody when
            None, and then they fail.
    """

    def __init__(self, store: Store, definitions: Definitions, clock: Clock, oracle: Oracle | None = None) -> None:
        identity = definitions.settings.identity
        self._store = store
        self._definitions = definitions
        self._clock = clock
        self._chain_of: ChainOf = lambda context_of: build_chain(
            definitions.default_compartment, context_of, definitions.program_of, oracle
        )
        placeholders = Placeholders(identity.placeholders, zeros=identity.zeros_are_placeholders)
        self._identities = partial(Identities, store, identity.hyper_point, placeholders)

    async def item(
        self, item: bytes, *, datamart: int = 1, process: bool = True, user_point: bytes | None = None
    ) -> Explanation:
        """Explain an activity as somebody would send it.

        Args:
            item: its JSON.
            datamart: where to.
            process: False as with `processing_pipeline=false` (decision 42).
            user_point: whose it is, where that is known; else its identifiers tell.

        Raises:
            CallerError: the datamart takes no events.
        """
        rules = self._definitions.rules.get(datamart)
        if rules is None:
            raise CallerError(f"datamart {datamart} takes no events, as far as these settings say", code="not_found")
        now_ms = self._clock.now_ms()
        try:
            examined = examine(item, rules, arrival_ms=now_ms, process=process)
            point, remarks = self._whose(examined, datamart, now_ms, user_point)
            closed = self._closed(examined, datamart, point, now_ms)
        except CallerError as error:
            why = f"{error.message}{error.path and f' (at {error.path})'}"
            step = StepExplained(ACCEPT, "refused", f"{error.code}: {why}")
            return Explanation(datamart, "", (step,), "refused", error.code)
        if closed.source is Source.SESSION:
            remarks.append(_SESSION)
        return await self._explain(Envelope(closed), now_ms, remarks)

    async def stored(
        self, user: str, *, datamart: int = 1, ts_ms: int | None = None, unique_key: str = ""
    ) -> Explanation:
        """Explain a stored activity, as if it came again.

        Args:
            user: as `Selector.parse` reads it.
            datamart: of which.
            ts_ms, unique_key: which one; the newest that these leave.

        Raises:
            CallerError: there is none.
        """
        find = partial(self._find, user, datamart, ts_ms, unique_key)
        point, value, at_ms = await trio.to_thread.run_sync(find)
        closed = self._as_item(value, datamart, point, at_ms)
        return await self._explain(Envelope(closed), self._clock.now_ms(), list(_STORED))

    async def dead_letter(self, number: int, *, datamart: int = 1) -> Explanation:
        """Explain what a dead letter holds, as if it came now.

        Args:
            number: its place among the dead letters of the datamart; 1 is the newest.
            datamart: of which.

        Raises:
            CallerError: there is no such letter, or what it holds is no activity.
        """
        letter = await trio.to_thread.run_sync(self._letter, number, datamart)
        point = UUID(letter.user_point).bytes if letter.user_point else None
        said = f"Dead letter: {letter.reason} at {letter.stage}{letter.detail and f': {letter.detail}'}."
        payload = letter.payload
        if letter.stage == "outbox":
            raise CallerError("that dead letter is a request of the outbox, which went through no steps")
        if payload.lstrip().startswith(b"["):
            envelope = Envelope(self._from_members(payload, datamart, point or bytes(16)))
            return await self._explain(envelope, self._clock.now_ms(), [said, _LETTER])
        try:
            fields = decode_fields(payload)
        except CallerError:
            fields = {}
        if "$type" not in fields and "$events" not in fields:
            raise CallerError(f"that dead letter ({letter.reason}) holds no activity")
        found = await self.item(payload, datamart=datamart, user_point=point)
        return structs.replace(found, remarks=(said, _LETTER, *found.remarks))

    async def _explain(self, envelope: Envelope, now_ms: int, remarks: list[str]) -> Explanation:
        # Made for each: what they remember of the store must not grow old.
        meeting = self._identities().meeting
        return await explain_envelope(envelope, self._chain_of, self._store, now_ms, meeting=meeting, remarks=remarks)

    def _whose(self, examined: Examined, datamart: int, now_ms: int, known: bytes | None) -> tuple[bytes, list[str]]:
        if known is not None:
            return reads.survivor(self._store, datamart, known), []
        sequence = journal.last_sequence(self._store) + 1
        attached, _ = self._identities().attach(
            Overlay(), examined.identifiers, datamart=datamart, now_ms=now_ms, sequence=sequence
        )
        remarks = []
        if not reads.is_known(self._store, datamart, attached.user_point):
            remarks.append("Nobody is known by its identifiers: a new user point.")
        if attached.absorbed:
            names = ", ".join(str(UUID(bytes=one)) for one in attached.absorbed)
            remarks.append(f"Its identifiers are several persons': {names} would merge into this one first.")
        return attached.user_point, remarks

    def _closed(self, examined: Examined, datamart: int, user_point: bytes, now_ms: int) -> Closed:
        channel = examined.channel
        sequence = journal.last_sequence(self._store) + 1
        record = _record(examined.kind, datamart, user_point, channel, examined.ts_ms, examined.root, sequence, now_ms)
        record = structs.replace(record, process=examined.process)
        if examined.kind is RecordKind.ITEM:
            return _item(structs.replace(record, event=events_array(examined.units)), channel)
        if not examined.units or channel is None:
            raise CallerError("a visit without events makes no activity", code="no_events", path="$.$events")
        records = [
            structs.replace(record, sequence=sequence + at, ts_ms=unit.ts_ms, event=unit.body, weight=1)
            for at, unit in enumerate(examined.units)
        ]
        source = Source.SESSION if examined.kind is RecordKind.EVENT else Source.LIVE
        return _run(source, [member_of(one, channel) for one in records], datamart, user_point, channel)

    def _find(self, user: str, datamart: int, ts_ms: int | None, unique_key: str) -> tuple[bytes, bytes, int]:
        selector = Selector.parse(user)
        point: bytes | None = None
        if selector.identifier is not None:
            point = reads.find_user_point(self._store, datamart, selector.identifier)
        elif selector.user_point is not None and reads.is_known(self._store, datamart, selector.user_point.bytes):
            point = reads.survivor(self._store, datamart, selector.user_point.bytes)
        if point is None:
            raise CallerError(f"nobody is known by {user!r} in datamart {datamart}", code="not_found")
        wanted = unique_key.lower().replace("-", "")
        before_ms = None if ts_ms is None else ts_ms + 1
        now_ms = self._clock.wall_ms()
        for one in reads.walk_activities(self._store, datamart, point, now_ms=now_ms, before_ms=before_ms):
            if ts_ms is not None and one.ts_ms < ts_ms:
                break
            if one.unique_key.hex().startswith(wanted):
                return point, one.value, one.ts_ms
        where = f" at {ts_ms}" if ts_ms is not None else ""
        raise CallerError(f"{user} has no such stored activity{where}", code="not_found")

    def _letter(self, number: int, datamart: int) -> DeadLetter:
        if not 1 <= number <= MAX_DEAD_LETTER:
            raise CallerError(f"dead letters are counted from 1, the newest, to {MAX_DEAD_LETTER}")
        after: bytes | None = None
        left = number
        while page := reads.dead_letters(self._store, datamart, limit=min(left, reads.PAGE_ROWS), after=after):
            if left <= len(page):
                return next(islice(page, left - 1, None)).letter
            left -= len(page)
            after = page[-1].place
        raise CallerError(f"datamart {datamart} has {number - left} dead letters, no {number}th", code="not_found")

    def _as_item(self, value: bytes, datamart: int, user_point: bytes, ts_ms: int) -> Closed:
        fields = decode_fields(value)
        events = bytes(fields.pop("$events", b"[]"))
        channel = self._channel(datamart, encode_fields(fields))
        record = _record(RecordKind.ITEM, datamart, user_point, channel, ts_ms, encode_fields(fields), 1, ts_ms)
        return _item(structs.replace(record, event=events), channel)

    def _from_members(self, payload: bytes, datamart: int, user_point: bytes) -> Closed:
        """What a session was made of that died before it was an activity: root fields and event of each, as text."""
        members: list[Member] = []
        channel: ChannelSettings | None = None
        for sequence, row in enumerate(decode_list(payload), 1):
            fields = decode_fields(row)
            root, event = (text_of(fields.get(name)).encode() for name in ("root", "event"))
            channel = self._channel(datamart, root) if root else None
            if not event or channel is None:
                raise CallerError("that dead letter holds no activity of a channel that is known")
            ts_ms = int(bytes(decode_fields(event).get("$ts", b"0")))
            record = _record(RecordKind.EVENT, datamart, user_point, channel, ts_ms, root, sequence, ts_ms)
            members.append(member_of(structs.replace(record, event=event, weight=1), channel))
        if not members or channel is None:
            raise CallerError("that dead letter holds no events")
        return _run(Source.SESSION, members, datamart, user_point, channel)

    def _channel(self, datamart: int, root: bytes) -> ChannelSettings | None:
        fields = decode_fields(root)
        rules: Rules | None = self._definitions.rules.get(datamart)
        for name, prefix in (("$site_id", "site"), ("$app_id", "app")):
            if (channel_id := text_of(fields.get(name))) and rules is not None:
                return rules.channel(f"{prefix}:{channel_id}")
        return None


@asynccontextmanager
async def open_explainer(directory: Path | str, settings: Settings | None = None) -> AsyncIterator[Explainer]:
    """An explainer on the store of a directory, also beside an engine that runs on it.

    Args:
        directory: of the store.
        settings: as that engine has them; what was applied is in the store.

    Raises:
        StoreMissing, SchemaTooNew, StoreBroken, BadSettings: as `open_reader`.
    """
    settings, clock = settings or Settings(), SystemClock()
    store = await trio.to_thread.run_sync(LmdbStore.open_reader, Path(directory))
    try:
        look_in(settings.analyzers.python_path)
        definitions = await trio.to_thread.run_sync(_definitions, store, settings, clock.wall_ms())
        async with open_analysts(settings.analyzers, lambda name, what: None) as analysts:
            yield Explainer(store, definitions, clock, analysts)
    finally:
        store.close()


def _definitions(store: Store, settings: Settings, now_ms: int) -> Definitions:
    kept = load(store)
    holding = plan(kept, settings, None, now_ms).holding
    return definitions_of(settings, holding, tuple(kept.tokens), None)


def _record(
    kind: RecordKind,
    datamart: int,
    user_point: bytes,
    channel: ChannelSettings | None,
    ts_ms: int,
    root: bytes,
    sequence: int,
    now_ms: int,
) -> Record:
    return Record(
        sequence=sequence,
        kind=kind,
        arrival_ms=now_ms,
        datamart=datamart,
        user_point=user_point,
        channel=channel.key if channel is not None else "",
        channel_version=channel.version if channel is not None else 0,
        ts_ms=ts_ms,
        weight=0,
        process=True,
        root=root,
        event=b"",
    )


def _item(record: Record, channel: ChannelSettings | None) -> Closed:
    member = item_member(record, channel)
    return Closed(
        Source.ITEM, record.datamart, record.user_point, (), channel=channel, members=(member,), saves_state=False
    )


def _run(source: Source, members: list[Member], datamart: int, user_point: bytes, channel: ChannelSettings) -> Closed:
    members.sort(key=lambda one: (one.ts_ms, one.sequence))
    reason = CloseReason.REQUEST if source is Source.SESSION else CloseReason.LIVE
    return Closed(source, datamart, user_point, (), reason, channel, tuple(members), saves_state=False)
