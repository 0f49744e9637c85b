"""The composition root: `open_engine()` puts the rooms together, in nurseries whose nesting is the drain order.

    store ⊃ writer ⊃ outbox ⊃ stages ⊃ user actors ⊃ recovery, reaper, janitor ⊃ the program

Leaving the block stops from the inside out: refuse new work, stop the timers, let the actors hand over, let the chain
run empty, commit, sync, close. Each step has a budget; what is not through stays in the journal, where the next start
finds it. Open sessions are not closed by a stop.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial

import trio

from engine.actors.analysts.callables import look_in
from engine.actors.analysts.oracle import Analysts, open_analysts
from engine.actors.arrivals import ArrivalClock
from engine.actors.attaching import Attaching
from engine.actors.facts import Facts
from engine.actors.gather import Gatherer
from engine.actors.identities import Identities
from engine.actors.intake import Intake
from engine.actors.janitor import sweep
from engine.actors.outbox.service import Outbox
from engine.actors.overlapping_stage import OverlappingStageActor
from engine.actors.plugin_desk import PluginDesk
from engine.actors.reaper import reap
from engine.actors.receipt import Receipt
from engine.actors.recovery import Recovery
from engine.actors.room import Bounds, UserRates
from engine.actors.router import Router
from engine.actors.scenario_clock import ScenarioClock, after
from engine.actors.seen import SeenKeys
from engine.actors.settling import Settling
from engine.actors.stage_actor import Counting, StageActor
from engine.actors.store_actor import Settler, StoreActor
from engine.actors.supervisor import Quarantine, supervise
from engine.actors.user_actor import Entry, UserKey
from engine.actors.wheel import Wheel
from engine.actors.writer import Writer
from engine.applying import Applier
from engine.clock import Clock, SystemClock
from engine.errors import Broken
from engine.explain import Explainer
from engine.facade import Engine
from engine.gauges import Gauges
from engine.identity.placeholders import Placeholders
from engine.live import Definitions
from engine.observe import GcPauses, log
from engine.pipeline.chain import STORE, build_chain
from engine.pipeline.stage import Envelope
from engine.reader import JournalPages, Reader
from engine.settings import Settings
from engine.start import prepare
from engine.store.environment import LmdbStore
from engine.store.port import Store

MS_PER_DAY = 86_400_000

STAND_ASIDE_S = 0.02
"""A batch's rows take a few milliseconds; pages that must first be read from disk may take longer, and are not waited
for: the loop goes on."""


@asynccontextmanager
async def open_engine(
    settings: Settings | None = None, *, clock: Clock | None = None, store: Store | None = None
) -> AsyncIterator[Engine]:
    """Run an engine for as long as the block lasts.

    Args:
        settings: all of it; the defaults make a store in `./data` with a datamart 1 and a site 1.
        clock: engine time; the wall clock unless given.
        store: where everything is kept; an LMDB environment in `settings.storage.data_dir` unless given. One that is
            given is not closed.

    Raises:
        StoreLocked: another engine works on the directory.
        SchemaTooNew: the store was written by a newer version; it was not touched.
        BadSettings: the directory cannot be made, or tokens are given twice.
        BadDefinition: `settings.definitions.file` cannot work.
        Broken: the engine could not go on; it comes out of the block, whatever the block was doing.
    """
    settings = settings or Settings()
    clock = clock or SystemClock()
    own: LmdbStore | None = None
    if store is None:
        own = store = await trio.to_thread.run_sync(LmdbStore.open, settings.storage)
    try:
        with GcPauses() as pauses:
            async with _assembled(settings, clock, store, pauses) as engine:
                yield engine
    except BaseExceptionGroup as group:
        error = _the_error(group)
        raise error from error.__cause__
    finally:
        if own is not None:
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(own.close)


def _the_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """What whoever embeds the engine gets: an error itself, where nurseries have wrapped it.

    Several actors find a broken store broken, and the program in the block as well: one of them speaks for all.
    """
    broken = group.subgroup(Broken)
    error: BaseException = broken or group
    while isinstance(error, BaseExceptionGroup) and (broken is not None or len(error.exceptions) == 1):
        error = error.exceptions[0]
    return error


@asynccontextmanager
async def _assembled(settings: Settings, clock: Clock, store: Store, pauses: GcPauses) -> AsyncIterator[Engine]:
    look_in(settings.analyzers.python_path)
    definitions = await trio.to_thread.run_sync(prepare, store, settings, clock)
    reader = Reader(store, clock.wall_ms)
    last_sequence, last_arrival_ms = await trio.to_thread.run_sync(reader.last_place)
    arrivals = ArrivalClock(clock, last_arrival_ms)
    writer = Writer(
        store,
        report=_report_store,
        max_pending_bytes=settings.limits.max_pending_write_bytes,
        stand_aside_s=STAND_ASIDE_S if isinstance(store, LmdbStore) else 0.0,
    )
    if isinstance(store, LmdbStore):
        store.on_placed = writer.placed
    identities = _identities(settings, store)
    attaching = Attaching(identities)
    facts = Facts(store, arrivals.now_ms, identities.meeting)
    outbox = Outbox(
        store=store,
        writer=writer,
        clock=clock,
        settings=settings.outbox,
        dead_letter_ms=settings.storage.dead_letter_days * MS_PER_DAY,
        destination_of=definitions.destination,
        report=_report,
    )
    settling = Settling(reader.in_journal, facts, outbox)
    actors = settings.actors
    async with trio.open_nursery() as outer:
        outer.start_soon(_permanent(settings, "writer", writer.run), name="writer")
        outer.start_soon(_permanent(settings, "outbox", outbox.run), name="outbox")
        async with open_analysts(settings.analyzers, _report) as analysts, trio.open_nursery() as stages:
            entrance, chain = _start_chain(
                settings, clock, definitions, facts, analysts, writer, settling, attaching, stages
            )
            async with trio.open_nursery() as users:
                wheel: Wheel[Entry] = Wheel()
                router = _router(settings, clock, definitions, users, wheel, entrance)
                intake = _intake(
                    settings, arrivals, store, definitions, writer, router, identities, settling, last_sequence
                )
                scenarios = ScenarioClock(
                    store=store,
                    clock=arrivals,
                    program_of=definitions.program_of,
                    hand_over=router.hand_over,
                    room=router.room_to_close,
                    is_set_aside=definitions.is_set_aside,
                )
                settling.follow(router, intake, scenarios)
                attaching.follow(intake)
                gatherer = Gatherer(partial(_accept_together, intake))
                recovery = Recovery(JournalPages(store), router, intake)
                engine = Engine(
                    intake=intake,
                    gatherer=gatherer,
                    router=router,
                    recovery=recovery,
                    definitions=definitions,
                    applier=Applier(store, writer, definitions, clock, outbox.definitions_changed),
                    scenarios=scenarios,
                    plugins=PluginDesk(definitions.defined, store, writer),
                    reader=reader,
                    explainer=Explainer(store, definitions, arrivals, analysts),
                    gauges=Gauges(
                        limits=settings.limits,
                        store=store,
                        writer=writer,
                        router=router,
                        wheel=wheel,
                        intake=intake,
                        recovery=recovery,
                        chain=chain,
                        pauses=pauses,
                        analysts=analysts.gauges,
                        definitions=definitions,
                        outbox=outbox,
                        scenarios=scenarios,
                    ).read,
                    read_threads=settings.api.reader_threads,
                )
                async with trio.open_nursery() as services:
                    services.start_soon(_recover_and_reap, recovery, router, wheel, arrivals, name="reaper")
                    services.start_soon(
                        _permanent(settings, "scenarios", after(recovery.done, scenarios)), name="scenarios"
                    )
                    services.start_soon(sweep, writer, clock, name="janitor")
                    await services.start(gatherer.run, name="gatherer")
                    yield engine
                    gatherer.flush()
                    intake.closing = True
                    outbox.close()
                    services.cancel_scope.cancel(reason="the engine stops")
                users.cancel_scope.deadline = stages.cancel_scope.deadline = trio.current_time() + actors.drain_chain_s
                await router.close()
            await entrance.aclose()
        await outbox.ended.wait()
        writer.close()
        outer.cancel_scope.deadline = trio.current_time() + actors.drain_store_s
    engine.drained = not any(nursery.cancel_scope.cancelled_caught for nursery in (users, stages, outer))


def _accept_together(intake: Intake, items: Sequence[bytes], datamart: int, step: str) -> Receipt:
    return intake.accept(items, datamart=datamart, idempotency=None, process=True, step=step)


def _start_chain(
    settings: Settings,
    clock: Clock,
    definitions: Definitions,
    facts: Facts,
    analysts: Analysts,
    writer: Writer,
    settling: Settling,
    attaching: Attaching,
    nursery: trio.Nursery,
) -> "tuple[trio.MemorySendChannel[list[Envelope]], list[Counting]]":
    """All stage actors and the store actor, running; returns the entrance and the stages."""
    lists = settings.actors.stage_queue_lists
    entrance, inbox = trio.open_memory_channel[list[Envelope]](lists)
    chain: list[StageActor | OverlappingStageActor] = []
    held = settings.analyzers.max_waiting
    for step in build_chain(definitions.default_compartment, facts.context, definitions.program_of, analysts):
        outbox, next_inbox = trio.open_memory_channel[list[Envelope]](lists)
        chain.append(
            # How many calls are open is each analyzer's own limit.
            OverlappingStageActor(step.name, step.run, inbox, outbox, calls=held, held=held, relieve=analysts.relieve)
            if step.may_wait
            else StageActor(step.name, step.run, inbox, outbox, step.merge, step.move)
        )
        inbox = next_inbox

    async def again(envelope: Envelope) -> None:
        for stage in chain:
            await stage.again(envelope)

    settler = Settler(clock.wall_ms, settings.storage.dead_letter_days * MS_PER_DAY)
    storing = StoreActor(inbox, writer, settler, settling.settled, again, attaching)
    for stage in chain:
        nursery.start_soon(_permanent(settings, stage.name, stage.run), name=stage.name)
    nursery.start_soon(_permanent(settings, STORE, storing.run), name=STORE)
    return entrance, list[Counting](chain)


def _router(
    settings: Settings,
    clock: Clock,
    definitions: Definitions,
    nursery: trio.Nursery,
    wheel: Wheel[Entry],
    entrance: "trio.MemorySendChannel[list[Envelope]]",
) -> Router:
    actors, limits = settings.actors, settings.limits
    quarantine: Quarantine[UserKey] = Quarantine(
        failures=actors.quarantine_failures, window_ms=actors.quarantine_window_ms, hold_ms=actors.quarantine_ms
    )
    return Router(
        nursery=nursery,
        wheel=wheel,
        channel_at=definitions.channel_at,
        first_stage=entrance,
        now_ms=clock.wall_ms,
        report=_report,
        quarantine=quarantine,
        mailbox_messages=limits.mailbox_messages,
        mailbox_bytes=limits.mailbox_bytes,
        max_closing=limits.max_unstored_activities // 4,
    )


def _identities(settings: Settings, store: Store) -> Identities:
    identity = settings.identity
    placeholders = Placeholders(identity.placeholders, zeros=identity.zeros_are_placeholders)
    return Identities(store, identity.hyper_point, placeholders)


def _intake(
    settings: Settings,
    clock: ArrivalClock,
    store: Store,
    definitions: Definitions,
    writer: Writer,
    router: Router,
    identities: Identities,
    settling: Settling,
    last_sequence: int,
) -> Intake:
    limits, storage, rates = settings.limits, settings.storage, settings.rates
    return Intake(
        clock=clock,
        writer=writer,
        router=router,
        identities=identities,
        seen=SeenKeys(store, storage.seen_days * MS_PER_DAY),
        bounds=Bounds(
            max_live_users=limits.max_live_users,
            max_unstored_activities=limits.max_unstored_activities,
            max_journal_bytes=limits.max_journal_bytes,
            max_kept_bytes=limits.max_pending_write_bytes,
            dead_letter_ms=storage.dead_letter_days * MS_PER_DAY,
        ),
        user_rates=UserRates(
            rates.events_per_s_of_user, rates.burst_of_user, rates.max_tracked, now_s=trio.current_time
        ),
        rules=definitions.rules.get,
        stored=settling.wait,
        last_sequence=last_sequence,
    )


def _permanent(settings: Settings, name: str, run: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
    actors = settings.actors
    return partial(
        supervise, run, name=name, report=_report, restarts=actors.max_restarts, window_s=actors.restart_window_s
    )


async def _recover_and_reap(recovery: Recovery, router: Router, wheel: Wheel[Entry], clock: Clock) -> None:
    await recovery.run()
    found = recovery.statistics
    if found.records or found.states:
        level = "warning" if found.orphans or found.damaged else "info"
        log(
            "recovered", level, records=found.records, states=found.states, orphans=found.orphans, damaged=found.damaged
        )
    await reap(wheel, clock, router.expire, failed=router.expire_failed, room=router.room_to_close)


def _report(name: str, what: str) -> None:
    log("trouble", "warning", actor=name, what=what)


def _report_store(name: str, what: str) -> None:
    log("store", "warning", actor=name, state=what)
