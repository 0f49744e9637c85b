"""A query over everything that is stored: the language that triggers and converts, asked of the past (decision 30).

Rows come as they are found, the newest activities first. Nothing is held but the activity that is looked at or, for a
query about persons, one person's activities, up to a bound.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final
from uuid import UUID

import trio
from msgspec import Struct

from engine.errors import CallerError
from engine.model.identifiers import IdentifierKind
from engine.model.wire import decode_values
from engine.pipeline.documents import OF_FACTS
from engine.query.check import check
from engine.query.compile import compile_checked, read_query
from engine.query.default_schema import DEFAULT
from engine.query.document import Document, Values
from engine.query.execute import Execution, Row
from engine.query.schema import Schema
from engine.query.time_range import time_range
from engine.store import reads, scan
from engine.store.keys import fact_key
from engine.store.port import Db, Store

MAX_PERSON_ACTIVITIES: Final = 10_000
MAX_PERSON_BYTES: Final = 16 << 20
"""JSON of one person's activities that a query about persons looks at, the newest first: decoded, some 100 MB."""

PAUSE_EVERY: Final = 256
"""Rows without a result after which the caller is asked whether to go on: some milliseconds."""

PersonOf = Callable[[bytes], Callable[[str], Sequence[Values]]]
"""Of a user point, what gives what is known of the person by link name."""


class StoredQuery:
    """One run of a query over a store. Blocks; each page is a short transaction of its own.

    Args:
        store, datamart: what is asked.
        query: OTQL or JSON_OTQL.
        now_ms: wall clock: what relative dates count from, and what has expired.
        schema: what the query may speak of.
        person_of: what is known of persons; by default all that is stored.

    Attributes:
        columns: names of what is selected; empty for whole objects and for aggregations.
        is_aggregation: whether there are no rows, and a `result` behind them.
        scanned: activities (for a query about persons: persons) looked at so far.
        at_ms: `$ts` of the last one, or None.
        cut_persons: persons with more activities than are looked at.
        unreadable: activities, and facts about persons, that are damaged and were passed over.

    Raises:
        QueryError: the query cannot be read, or not be asked.
    """

    def __init__(
        self,
        store: Store,
        datamart: int,
        query: str | Mapping[str, Any],
        *,
        now_ms: int,
        schema: Schema = DEFAULT,
        person_of: PersonOf | None = None,
    ) -> None:
        checked = check(read_query(query if isinstance(query, str) else dict(query), "query"), schema, "query")
        self._store = store
        self._datamart = datamart
        self._now_ms = now_ms
        self._known_of = person_of or (lambda user_point: known_of(store, datamart, user_point, now_ms))
        self._compiled = compile_checked(checked, schema)
        self._execution = Execution(self._compiled, schema)
        self._range = time_range(checked, schema, now_ms)
        self.columns = () if checked.operation is None else tuple(one.name for one in checked.operation.selections)
        self.is_aggregation = self._execution.is_aggregation
        self.scanned = 0
        self.at_ms: int | None = None
        self.cut_persons = 0
        self.unreadable = 0

    @property
    def matched(self) -> int:
        """Objects that matched so far."""
        return self._execution.matched

    def result(self) -> Row | None:
        """What was aggregated so far; None for a selection."""
        return self._execution.result()

    def rows(self) -> Iterator[Row | None]:
        """The rows; between them None, after each few milliseconds of work."""
        waited = 0
        for document in self._documents():
            waited += 1
            if document is not None:
                for row in self._execution.feed(document):
                    waited = 0
                    yield row
                if self._execution.is_done:
                    return
            if waited >= PAUSE_EVERY:
                waited = 0
                yield None

    def _documents(self) -> Iterator[Document | None]:
        if self._execution.is_done:
            return iter(())
        return self._persons() if self._compiled.query.root == "UserPoint" else self._activities()

    def _activities(self) -> Iterator[Document | None]:
        start_ms, end_ms = self._range
        wanted = self._compiled.event_names
        # Where a name stands in JSON as it is, its bytes are looked for before anything is decoded.
        needles = None if wanted is None else [name.encode() for name in wanted]
        plain = wanted is not None and all(_is_plain(name) for name in wanted)
        for found in scan.walk_by_time(
            self._store, self._datamart, now_ms=self._now_ms, start_ms=start_ms, end_ms=end_ms
        ):
            if found is None:
                yield None
                continue
            self.scanned += 1
            self.at_ms = found.ts_ms
            if found.value and plain and not any(needle in found.value for needle in needles or ()):
                yield None
                continue
            yield self._document(found.value, found.user_point)

    def _document(self, value: bytes, user_point: bytes) -> Document | None:
        activity = self._readable(value)
        if activity is None:
            return None
        return Document(
            activity,
            now_ms=self._now_ms,
            person=self._person_of(user_point),
            user_point=str(UUID(bytes=user_point)),
        )

    def _readable(self, value: bytes) -> dict[str, Any] | None:
        """An activity; None for one that is damaged: that must not end what asks about all the others."""
        try:
            return decode_values(value)
        except CallerError:
            self.unreadable += 1
            return None

    def _person_of(self, user_point: bytes) -> Callable[[str], Sequence[Values]]:
        known = self._known_of(user_point)

        def of(link: str) -> Sequence[Values]:
            try:
                return known(link)
            except (CallerError, ValueError):
                self.unreadable += 1
                return ()

        return of

    def _persons(self) -> Iterator[Document | None]:
        for user_point in scan.walk_persons(self._store, self._datamart):
            if user_point is None:
                yield None
                continue
            self.scanned += 1
            person = _Person(user_point, self._read, self._person_of(user_point), self._now_ms)
            yield person
            self.cut_persons += person.is_cut

    def _read(self, user_point: bytes) -> "tuple[list[dict[str, Any]], bool]":
        """A person's activities, the newest first, and whether there are more than that."""
        found: list[dict[str, Any]] = []
        size_bytes = 0
        walk = reads.walk_activities(self._store, self._datamart, user_point, now_ms=self._now_ms, damaged=True)
        for stored in islice(walk, MAX_PERSON_ACTIVITIES):
            size_bytes += len(stored.value)
            if size_bytes > MAX_PERSON_BYTES and found:
                return found, True
            if (activity := self._readable(stored.value)) is not None:
                found.append(activity)
        return found, next(walk, None) is not None


class _Person(Document):
    """A person and all their activities, which are read when something asks for them."""

    __slots__ = ("_activities", "_read", "_user_point", "is_cut")

    def __init__(
        self,
        user_point: bytes,
        read: "Callable[[bytes], tuple[list[dict[str, Any]], bool]]",
        person: Callable[[str], Sequence[Values]],
        now_ms: int,
    ) -> None:
        super().__init__({}, now_ms=now_ms, person=person, user_point=str(UUID(bytes=user_point)))
        self._user_point = user_point
        self._read = read
        self._activities: list[Document] | None = None
        self.is_cut = False

    @property
    def activities(self) -> Sequence[Document]:
        if self._activities is None:
            found, self.is_cut = self._read(self._user_point)
            self._activities = [
                Document(one, now_ms=self.now_ms, person=self.of_person, user_point=self.user_point) for one in found
            ]
        return self._activities


def _is_plain(name: str) -> bool:
    """Whether JSON has no other way to write it that we store: nothing in it is escaped."""
    return name.isascii() and name.isprintable() and not set(name) & set('"\\/')


_LINKS: Final = {
    "accounts": IdentifierKind.ACCOUNT,
    "emails": IdentifierKind.EMAIL,
    "devices": IdentifierKind.AGENT,
}


def known_of(store: Store, datamart: int, user_point: bytes, now_ms: int) -> Callable[[str], Sequence[Values]]:
    """What the store tells of a person, by link name; nothing under any other.

    Args:
        store, datamart: where.
        user_point: whose; one that was absorbed stands for whom it has become.
        now_ms: what has ended by then is not told: memberships of segments.
    """

    def of(link: str) -> Sequence[Values]:
        if link in OF_FACTS:
            fact, shown = OF_FACTS[link]
            person = reads.survivor(store, datamart, user_point)
            return shown(store.get(Db.FACTS, fact_key(datamart, person, fact)), now_ms)
        kind = _LINKS.get(link)
        if kind is None:
            return ()
        return [
            {**one.identifier().as_json(), "$creation_ts": one.linked_ms}
            for one in reads.identifiers(store, datamart, user_point)
            if one.kind == kind
        ]

    return of


MAX_ANSWER_ROWS: Final = 10_000
"""Of one answer that is held in memory: megabytes."""

PAUSES_A_SLICE: Final = 16
"""Rows or pauses for which a thread is taken: some 50 ms, after which the asker may be cancelled."""


class QueryAnswer(Struct, frozen=True):
    """What a query gave.

    Attributes:
        rows: what was selected.
        result: what was aggregated, or None.
        is_complete: whether there are no more rows.
        cut_persons: persons of whom only the newest activities were looked at.
        unreadable: what is damaged and was passed over: activities, and facts about persons.
    """

    rows: list[Row]
    result: Row | None
    is_complete: bool
    cut_persons: int = 0
    unreadable: int = 0


async def answer(run: StoredQuery, *, limit: int, limiter: trio.CapacityLimiter) -> QueryAnswer:
    """Run a query in threads, slice by slice, so that it can be cancelled and holds no thread for long.

    Args:
        run: a fresh one.
        limit: rows at most.
        limiter: of the threads.
    """
    pending, limit = run.rows(), min(limit, MAX_ANSWER_ROWS)
    rows: list[Row] = []
    while len(rows) <= limit:
        some = await trio.to_thread.run_sync(lambda: list(islice(pending, PAUSES_A_SLICE)), limiter=limiter)
        rows += [row for row in some if row is not None]
        if len(some) < PAUSES_A_SLICE:
            break
    return QueryAnswer(rows[:limit], run.result(), len(rows) <= limit, run.cut_persons, run.unreadable)
