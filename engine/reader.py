"""Everything that is stored, for whoever wants to read it: inside the engine, or in a process beside it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from msgspec import Struct

from engine import known
from engine.clock import SystemClock
from engine.errors import StoreBroken
from engine.model.activity import public
from engine.model.record import Record
from engine.query.schema import Schema
from engine.selector import Filters, Selector
from engine.store import journal, reads
from engine.store.environment import LmdbStore
from engine.store.keys import journal_key, split_user_point_key
from engine.store.port import Db, Store
from engine.stored_query import StoredQuery
from engine.vocabulary import query_in, schema_in

STATISTICS = reads.STATISTICS
"""Names of the counters that are always shown, also at 0."""

MAX_READ_BYTES: Final = 4 << 20
"""Of one list of activities, beyond the first: what a reader may hold in memory at a time."""


class DeadLetter(Struct, frozen=True):
    """Something that could not be processed.

    Attributes:
        ts_ms: when, wall clock.
        reason, stage: why, and which step gave up.
        user_point: whose it was, as text, or "".
        payload: what was lost, as it was.
        detail: the error in words.
        events: received events it stands for.
        place: its place in the list, to go on behind it.
    """

    ts_ms: int
    reason: str
    stage: str
    user_point: str
    payload: bytes
    detail: str
    events: int
    place: bytes


class Reader:
    """Reads a store. All methods block; each page is a short transaction of its own.

    Args:
        store: what to read.
        wall_ms: the wall clock, for what has expired.
    """

    def __init__(self, store: Store, wall_ms: Callable[[], int]) -> None:
        self._store = store
        self._wall_ms = wall_ms

    def find_user_point(self, datamart: int, selector: Selector) -> str | None:
        """The user point that a selector means, aliases resolved; None when nobody is known by it."""
        if selector.identifier is not None:
            found = reads.find_user_point(self._store, datamart, selector.identifier)
            return None if found is None else str(UUID(bytes=found))
        if selector.user_point is None or not reads.is_known(self._store, datamart, selector.user_point.bytes):
            return None
        return str(self.resolve(datamart, str(selector.user_point)))

    def resolve(self, datamart: int, user_point: str) -> UUID:
        """What a user point has become: itself, or the one that absorbed it (decision 3)."""
        return UUID(bytes=reads.survivor(self._store, datamart, UUID(user_point).bytes))

    def family(self, datamart: int, user_point: str) -> tuple[bytes, ...]:
        """All user points that are one person with this one, 16 bytes each; the survivor first (decision 3)."""
        return reads.family(self._store, datamart, UUID(user_point).bytes)

    def activities(
        self,
        datamart: int,
        user_point: str,
        *,
        filters: Filters | None = None,
        limit: int = 50,
        before_ms: int | None = None,
    ) -> list[bytes]:
        """Stored activities of a person, newest first, as public JSON (decisions 37 and 38).

        Args:
            datamart, user_point: whose.
            filters: which of them; all when None.
            limit: at most so many, and at most about 4 MiB of them.
            before_ms: only those with `$ts` before this.
        """
        wanted = filters or Filters()
        if wanted.end_ms is not None:
            before_ms = wanted.end_ms + 1 if before_ms is None else min(before_ms, wanted.end_ms + 1)
        shown = self._walk(datamart, UUID(user_point).bytes, wanted, before_ms, min(limit, reads.PAGE_ROWS))
        found: list[bytes] = []
        size_bytes = 0
        for one in islice(shown, limit):
            size_bytes += len(one)
            if found and size_bytes > MAX_READ_BYTES:
                break
            found.append(one)
        return found

    def _walk(
        self, datamart: int, user_point: bytes, wanted: Filters, before_ms: int | None, rows: int
    ) -> Iterator[bytes]:
        for stored in reads.walk_activities(
            self._store, datamart, user_point, now_ms=self._wall_ms(), before_ms=before_ms, rows=rows
        ):
            if wanted.start_ms is not None and stored.ts_ms < wanted.start_ms:
                return  # Newest first: none of the others is later.
            shown = public(stored.value)
            if wanted.match(shown):
                yield shown

    def query(self, datamart: int, query: str | Mapping[str, Any], *, schema: Schema | None = None) -> StoredQuery:
        """A query over all stored activities of a datamart (decision 30); `StoredQuery.rows` runs it.

        Args:
            datamart: whose.
            query: OTQL or JSON_OTQL, or `@name` of a query that the datamart declares.
            schema: what it may speak of; by default what the datamart has.

        Raises:
            QueryError: it cannot be read, or not be asked; or there is none of this name.
        """
        asked = query_in(self._store, datamart, query)
        schema = schema or schema_in(self._store, datamart)
        return StoredQuery(self._store, datamart, asked, now_ms=self._wall_ms(), schema=schema)

    def identifiers(self, datamart: int, user_point: str) -> list[dict[str, Any]]:
        """By what a person is known, in the order it became known; `creation_ts` is when, ms."""
        return [
            {**link.identifier().as_json(), "creation_ts": link.linked_ms}
            for link in reads.identifiers(self._store, datamart, UUID(user_point).bytes)
        ]

    def profiles(self, datamart: int, user_point: str) -> list[bytes]:
        """A person's profiles as JSON, aliases resolved: whose each is, its fields as sent, when it changed last."""
        return known.profiles(self._store, datamart, self.resolve(datamart, user_point).bytes)

    def choices(self, datamart: int, user_point: str) -> list[dict[str, Any]]:
        """A person's newest choice about each processing, aliases resolved (mediarithmics 9.1)."""
        return known.choices(self._store, datamart, self.resolve(datamart, user_point).bytes)

    def choice_history(self, datamart: int, user_point: str, limit: int = 100) -> list[dict[str, Any]]:
        """Up to `limit` of a person's choices, the latest first, those of absorbed user points among them."""
        return known.choice_history(self._store, datamart, self.family(datamart, user_point), limit=limit)

    def statistics(self, datamart: int | None = None) -> dict[str, Any]:
        """The totals of `sojourn stats`, of one datamart or of all; `sessions_closed` is by reason."""
        return dict(reads.statistics(self._store, datamart))

    def counters(self) -> Mapping[int, Mapping[str, int]]:
        """All counters by datamart and name."""
        return {datamart: reads.counter_totals(self._store, datamart) for datamart in reads.datamarts(self._store)}

    def dead_letters(self, datamart: int = 1, limit: int = 100, after: bytes | None = None) -> list[DeadLetter]:
        """At most `limit` dead letters, the newest first; behind the place `after`, if given."""
        letters: list[DeadLetter] = []
        while len(letters) < limit:
            page = reads.dead_letters(self._store, datamart, limit=limit - len(letters), after=after)
            if not page:
                break
            letters += [_shown(found) for found in page]
            after = page[-1].place
        return letters

    def last_place(self) -> tuple[int, int]:
        """The last journal sequence ever given out, and the last arrival, ms."""
        return journal.last_sequence(self._store), journal.last_arrival_ms(self._store)

    def in_journal(self, sequence: int) -> bool:
        """Whether a journal record is still there: accepted, and not settled yet."""
        return self._store.get(Db.JOURNAL, journal_key(sequence)) is not None

    def count_open_events(self) -> dict[int, int]:
        """Events in the journal by datamart, counted one by one: what the counter `events_open` must say."""
        return journal.count_open_events(self._store)


def _shown(found: reads.FoundDeadLetter) -> DeadLetter:
    letter = found.letter
    return DeadLetter(
        ts_ms=letter.at_ms,
        reason=letter.reason,
        stage=letter.stage,
        user_point=letter.user_point,
        payload=letter.payload,
        detail=letter.detail,
        events=letter.weight,
        place=found.place,
    )


class JournalPages:
    """The journal and the saved states as recovery reads them. Blocks.

    Args:
        store: what the last run left.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def states(self) -> Iterator[tuple[tuple[int, bytes], bytes]]:
        """All saved fold states, by datamart and user point."""
        after: bytes | None = None
        while rows := self._store.page(Db.STATES, after=after, limit=1000):
            for key, state in rows:
                yield split_user_point_key(key), state
            after = rows[-1][0]

    def records(self, after: int, limit: int) -> Sequence[Record]:
        """Up to `limit` committed records behind a sequence, in order.

        Raises:
            StoreBroken: one of them is damaged: what it was part of cannot be told.
        """
        try:
            return journal.read_records(self._store, after=after, limit=limit)
        except ValueError as error:
            raise StoreBroken(str(error)) from error


@contextmanager
def open_reader(data_dir: Path | str) -> Iterator[Reader]:
    """Read the store of a directory, also beside an engine that runs on it.

    Raises:
        StoreMissing: there is none.
        SchemaTooNew: a newer version wrote it.
        StoreBroken, BadSettings: it is damaged, or may not be read.
    """
    store = LmdbStore.open_reader(Path(data_dir))
    try:
        yield Reader(store, SystemClock().wall_ms)
    finally:
        store.close()
