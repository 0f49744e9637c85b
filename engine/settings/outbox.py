"""The section of the outbox: how hard it tries, and how much at a time (decision 32)."""

from typing import Annotated

from msgspec import Meta, Struct

from engine.model.types import DAY_MS, HOUR_MS, SECOND_MS, Number, Seconds

_Wait = Annotated[int, Meta(ge=1, le=DAY_MS)]


class OutboxSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Requests to webhooks and custom actions. Limits of one destination stand in its definition."""

    give_up_after_ms: Annotated[
        int,
        Meta(
            ge=SECOND_MS,
            le=30 * DAY_MS,
            description="How long a request is tried, from when it was due first: a day lets people mend what is wrong."
            " Then it is a dead letter.",
        ),
    ] = DAY_MS
    first_backoff_ms: Annotated[
        _Wait, Meta(description="Mean wait before the second attempt; each further one is twice as long.")
    ] = SECOND_MS
    max_backoff_ms: Annotated[
        _Wait, Meta(description="Longest wait between two attempts, also where a `Retry-After` asks for more.")
    ] = HOUR_MS
    max_calls: Annotated[
        Number,
        Meta(
            description="Calls open at a time, shared evenly by the destinations that have something to send; each may"
            " always have one."
        ),
    ] = 256
    slice_rows: Annotated[
        Number, Meta(description="Requests of a destination in memory at a time, 256 kB of them at most.")
    ] = 256
    pause_after_failures: Annotated[
        Number, Meta(description="Failures in a row after which a destination is left alone for a while.")
    ] = 10
    pause_ms: Annotated[
        _Wait, Meta(description="That while; then one call tries it. Twice as long after each that fails.")
    ] = 30 * SECOND_MS
    max_pause_ms: Annotated[
        _Wait, Meta(description="Longest such while: what a destination that is back waits for, at the most.")
    ] = 300 * SECOND_MS
    max_rows_per_destination: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000_000,
            description="Requests that may wait for one destination. Beyond it the oldest become dead letters, so that"
            " one that is dead for long neither fills the disk with work nor stops the taking of events.",
        ),
    ] = 1_000_000
    drain_s: Annotated[
        Seconds, Meta(description="At a stop: for open calls to be answered. Others are made again at the next start.")
    ] = 5.0

    def __post_init__(self) -> None:
        if self.max_backoff_ms < self.first_backoff_ms:
            raise ValueError("max_backoff_ms is less than first_backoff_ms")
        if self.max_pause_ms < self.pause_ms:
            raise ValueError("max_pause_ms is less than pause_ms")
