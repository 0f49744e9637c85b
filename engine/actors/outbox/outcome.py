"""What an attempt writes, in one transaction: the row goes, or waits under a later time, or becomes a dead letter.

A dead letter of the outbox stands for no received event: the activity that asked for the request is stored. Its weight
is 0, so that received = stored + duplicate + refused + dead + dropped + open holds (decision 17).
"""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from msgspec import structs

from engine.actors.outbox.calls import Answer
from engine.model.delivery import Fate, backoff_ms, fate_of, label_of, retry_after_ms, status_class
from engine.model.limits import MAX_TS_MS
from engine.settings import OutboxSettings
from engine.store.keys import OutboxKey, outbox_key
from engine.store.layout import DeadLetter, OutboxRow, encode_dead_letter, encode_outbox
from engine.store.port import AddDeadLetter, Count, Db, Delete, Operation, Put

STAGE: Final = "outbox"

SENT: Final = "outbox_sent"
RETRIED: Final = "outbox_retried"
ERASED: Final = "outbox_erased"
ANSWERS: Final = "outbox_answers"

# Reasons of dead letters, and the names of their counters.
REFUSED: Final = "outbox_refused"
"""The destination blames the request."""
GAVE_UP: Final = "outbox_gave_up"
"""It was tried for as long as it may be."""
NO_DESTINATION: Final = "outbox_no_destination"
"""The destination was not defined for as long."""
FULL: Final = "outbox_full"
"""More waits for the destination than may."""
DAMAGED: Final = "outbox_damaged"
"""The row cannot be read."""

MAX_ERROR_CHARS: Final = 400

Waiting = tuple[bytes, OutboxKey, OutboxRow]
"""A row of the outbox: its key as bytes and in parts, and what it says."""


class Outcomes:
    """Turns answers into operations. Pure: time and chance are arguments.

    Args:
        settings: of the outbox.
        dead_letter_ms: how long dead letters are kept.
    """

    def __init__(self, settings: OutboxSettings, dead_letter_ms: int) -> None:
        self._settings = settings
        self._dead_letter_ms = dead_letter_ms

    def is_over(self, row: OutboxRow, now_ms: int) -> bool:
        """Whether a row has been tried for as long as it may be."""
        return now_ms >= row.first_due_ms + self._settings.give_up_after_ms

    def answered(self, waiting: Waiting, answer: Answer, now_ms: int, draw: float) -> list[Operation]:
        """What an answer makes of a row.

        Args:
            waiting: the row.
            answer: to its last attempt.
            now_ms: wall clock.
            draw: a number in [0, 1) by chance.
        """
        _, at, row = waiting
        fate = fate_of(answer.status)
        label = label_of(row.destination)
        seen = (f"{ANSWERS}.{label}.{status_class(answer.status)}", 1)
        if fate is Fate.DONE:
            return self._gone(waiting, SENT, now_ms, seen)
        tried = structs.replace(row, attempts=row.attempts + 1, last_error=str(answer)[:MAX_ERROR_CHARS])
        if fate is Fate.REFUSED:
            return self.dead((waiting[0], at, tried), REFUSED, now_ms, seen)
        if self.is_over(row, now_ms):
            return self.dead((waiting[0], at, tried), GAVE_UP, now_ms, seen)
        due_ms = self._due_ms(tried, answer, now_ms, draw)
        # Never under its own key again, whatever the wall clock does: the two operations are about two rows.
        due_ms = min(max(due_ms, now_ms + 1, at.due_ms + 1), MAX_TS_MS)
        return [
            Delete(Db.OUTBOX, waiting[0]),
            Put(Db.OUTBOX, outbox_key(at.datamart, row.destination, due_ms, at.id), encode_outbox(tried)),
            Count(at.datamart, (*_both(RETRIED, label), seen), now_ms),
        ]

    def erased(self, waiting: Waiting, now_ms: int) -> list[Operation]:
        """A row of a person who was erased since: it goes, and nobody is told what it said (decision 41)."""
        return self._gone(waiting, ERASED, now_ms)

    def dead(self, waiting: Waiting, reason: str, now_ms: int, *counts: tuple[str, int]) -> list[Operation]:
        """A row that becomes a dead letter."""
        _, at, row = waiting
        detail = (
            f"to {row.destination!r}{row.path and f' at {row.path!r}'}, id {UUID(bytes=at.id)}, attempts {row.attempts}"
            f"{row.last_error and f', the last: {row.last_error}'}"
        )
        user_point = str(UUID(bytes=row.user_point)) if row.user_point else ""
        letter = self._letter(at.datamart, reason, now_ms, row.body, detail, user_point)
        return [letter, *self._gone(waiting, reason, now_ms, *counts)]

    def damaged(self, key: bytes, at: OutboxKey, value: bytes, error: str, now_ms: int) -> list[Operation]:
        """A row that cannot be read: kept as it is, as a dead letter."""
        counts = Count(at.datamart, _both(DAMAGED, label_of("")), now_ms)
        return [self._letter(at.datamart, DAMAGED, now_ms, value, error, ""), Delete(Db.OUTBOX, key), counts]

    def _due_ms(self, row: OutboxRow, answer: Answer, now_ms: int, draw: float) -> int:
        settings = self._settings
        wait_ms = backoff_ms(
            row.attempts, draw, first_ms=settings.first_backoff_ms, most_ms=settings.max_backoff_ms
        ) + retry_after_ms(answer.retry_after, now_ms, most_ms=settings.max_backoff_ms)
        # The last attempt is made when its time is over, not up to an hour before.
        return min(now_ms + wait_ms, row.first_due_ms + settings.give_up_after_ms)

    def _gone(self, waiting: Waiting, name: str, now_ms: int, *counts: tuple[str, int]) -> list[Operation]:
        key, at, row = waiting
        return [
            Delete(Db.OUTBOX, key),
            Count(at.datamart, (*_both(name, label_of(row.destination)), *counts), now_ms),
        ]

    def _letter(
        self, datamart: int, reason: str, now_ms: int, payload: bytes, detail: str, user_point: str
    ) -> AddDeadLetter:
        letter = DeadLetter(
            at_ms=now_ms, reason=reason, stage=STAGE, user_point=user_point, payload=payload, detail=detail
        )
        return AddDeadLetter(datamart, now_ms, 0, encode_dead_letter(letter), now_ms + self._dead_letter_ms)


def size_of(operations: Sequence[Operation]) -> int:
    """About what they weigh in the writer's queue."""
    sizes = [len(one.value) for one in operations if isinstance(one, Put | AddDeadLetter)]
    return sum(sizes) + 64 * len(operations)


def _both(name: str, label: str) -> tuple[tuple[str, int], tuple[str, int]]:
    return (name, 1), (f"{name}.{label}", 1)
