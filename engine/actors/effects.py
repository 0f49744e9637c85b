"""What each effect of a step writes, in the transaction that stores its activity (decision 34)."""

from collections.abc import Sequence
from typing import Final

from engine.model.activity import Activity
from engine.pipeline.stage import Attach, CountUp, Effect, KeepFact, KeepHistory, Send, SetTimer, StoreBeside
from engine.store.keys import fact_key, history_key, outbox_key, timer_key
from engine.store.layout import OutboxRow, encode_outbox
from engine.store.port import Count, Db, Delete, Operation, Put, StoreActivity

MS_PER_MINUTE: Final = 60_000


def written(
    effects: Sequence[Effect], now_ms: int, *, user_point: bytes = b"", sequence: int = 0
) -> tuple[Operation, ...]:
    """What effects write, in their order, then what they count.

    Args:
        effects: of one envelope.
        now_ms: wall clock, for counters.
        user_point, sequence: whose they are, and the last journal record behind them: an erasure of the person must
            find what waits in the outbox (decision 41).
    """
    if not effects:
        return ()
    found: list[Operation] = []
    counts: dict[int, list[tuple[str, int]]] = {}
    for effect in effects:
        if type(effect) is CountUp:  # Together: an operation for each costs more than all else of it.
            counts.setdefault(effect.datamart, []).append((effect.name, effect.amount))
        else:
            found += _operations(effect, now_ms, user_point, sequence)
    found += [Count(datamart, tuple(amounts), now_ms) for datamart, amounts in counts.items()]
    return tuple(found)


def stored(
    activity: Activity,
    datamart: int,
    user_point: bytes,
    now_ms: int,
    *,
    weight: int = 0,
    effects: tuple[Operation, ...] = (),
) -> StoreActivity:
    """The operation that stores an activity.

    Args:
        activity, datamart, user_point: what, and whose.
        now_ms: wall clock, for counters.
        weight: received events it stands for; none where the engine made it.
        effects: what is written with it, unless an equal one is there already.
    """
    ttl = activity.ttl_minutes or 0
    return StoreActivity(
        datamart=datamart,
        user_point=user_point,
        ts_ms=activity.ts_ms,
        unique_key=activity.unique_key.bytes,
        value=activity.encode(),
        weight=weight,
        expires_ms=activity.ts_ms + ttl * MS_PER_MINUTE if ttl else None,
        counted_at_ms=now_ms,
        effects=effects,
    )


def _operations(effect: Effect, now_ms: int, user_point: bytes, sequence: int) -> list[Operation]:
    match effect:
        case KeepFact():
            key = fact_key(*effect.key)
            return [Delete(Db.FACTS, key) if effect.value is None else Put(Db.FACTS, key, effect.value)]
        case KeepHistory():
            key = history_key(effect.datamart, effect.user_point, effect.kind, effect.at_ms, effect.id)
            return [Put(Db.HISTORY, key, effect.value)]
        case StoreBeside():
            return [stored(effect.activity, effect.datamart, effect.user_point, now_ms)]
        case SetTimer():
            place = effect.datamart, effect.user_point, effect.scenario
            found: list[Operation] = []
            if effect.was_due_ms is not None:
                found.append(Delete(Db.TIMERS, timer_key(effect.was_due_ms, *place)))
            if effect.due_ms is not None:
                found.append(Put(Db.TIMERS, timer_key(effect.due_ms, *place), b""))
            return found
        case Send():
            key = outbox_key(effect.datamart, effect.destination, effect.due_ms, effect.id)
            row = OutboxRow(
                effect.destination,
                effect.path,
                effect.body,
                max(effect.due_ms, now_ms),  # A replay asks for what was due long ago: its day begins now.
                user_point=user_point,
                sequence=sequence,
            )
            return [Put(Db.OUTBOX, key, encode_outbox(row))]
        case Attach():
            return []  # What it writes depends on who is who by then: `engine.actors.attaching`.
        case _:
            raise TypeError(f"nobody writes {type(effect).__name__}")
