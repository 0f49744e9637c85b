"""Applying definitions to a running engine: plan in a thread, write in one transaction, swap in the step of its commit.

One after the other: a plan is made against what is kept, and that is what the one before has written.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import trio
from msgspec import structs

from engine.actors.analysts.callables import look_in
from engine.actors.ticket import Ticket
from engine.actors.writer import Writer
from engine.clock import Clock, SystemClock
from engine.declaring import read_file
from engine.definitions.declared.datamarts import Declared
from engine.definitions.difference import Difference
from engine.definitions.reading import Source, read_declared
from engine.definitions.shown import DefinitionVersion, Shown, datamart_shown, version_shown, versions_shown
from engine.errors import StoreMissing, Unavailable
from engine.live import Definitions
from engine.planning import Plan, load, plan, versions_of
from engine.settings import Settings
from engine.store.environment import LmdbStore
from engine.store.memory import MemoryStore
from engine.store.port import Put, Store


class Applier:
    """Applies definitions, one after the other.

    Args:
        store: what is kept is read from it.
        writer: writes what changes.
        definitions: what holds; swapped as soon as that is on disk.
        clock: wall time, when a definition was changed.
        swapped: called right after; None for nobody.
    """

    _in_line: Ticket | None = None

    def __init__(
        self,
        store: Store,
        writer: Writer,
        definitions: Definitions,
        clock: Clock,
        swapped: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._writer = writer
        self._definitions = definitions
        self._clock = clock
        self._swapped = swapped
        self._one = trio.Lock()

    async def apply(self, source: Source, *, dry_run: bool = False) -> Difference:
        """As `Engine.apply`."""
        return await self._apply(partial(read_declared, source), dry_run)

    async def apply_file(self) -> Difference | None:
        """As `Engine.apply_file`."""
        file = self._definitions.settings.definitions.file
        return await self._apply(partial(read_file, file), False) if file else None

    async def _apply(self, read: Callable[[], Declared], dry_run: bool) -> Difference:
        async with self._one:
            if self._in_line is not None and not self._in_line.is_durable:
                raise Unavailable("definitions that were applied before still wait for the store")
            planned = await trio.to_thread.run_sync(self._plan, read)
            operations = planned.operations()
            if dry_run or not operations:
                return structs.replace(planned.difference, made=())
            size_bytes = sum(len(one.key) + len(one.value) for one in operations if isinstance(one, Put))

            def swap() -> None:
                self._definitions.swap(planned.holding)
                self._swapped()

            # No await between the plan's reading and this line but the thread's own, and nobody else writes these rows.
            self._in_line = self._writer.submit(operations, size_bytes, swap)
            await self._in_line.durable()
            return structs.replace(planned.difference, applied=True)

    async def shown(self) -> Shown:
        """As `Engine.definitions`."""
        async with self._one:
            stored = await trio.to_thread.run_sync(load, self._store)
            holds = self._definitions.holding
        registry = holds.registry
        open_ones = [one for one in registry.datamarts() if registry.accepts(one.id)]
        return Shown(
            tuple(datamart_shown(one, registry.channels(one.id), holds.applied.get(one.id)) for one in open_ones),
            tuple(versions_shown(stored.heads.values(), stored.kept)),
            tuple(one for rows in holds.aside.values() for one in rows),
        )

    async def versions(self, datamart: int, kind: str, name: str) -> list[DefinitionVersion]:
        """As `Engine.definition_versions`."""
        found = await trio.to_thread.run_sync(versions_of, self._store, (datamart, kind, name))
        return [version_shown(one) for one in found]

    def _plan(self, read: Callable[[], Declared]) -> Plan:
        declared = read()
        holds = self._definitions
        return plan(load(self._store), holds.settings, declared, self._clock.wall_ms(), holds.holding)


def apply_to_directory(directory: Path, settings: Settings, source: Source, *, dry_run: bool = False) -> Difference:
    """Apply definitions to a store on which no engine works; they hold from its next start on. Blocks.

    Args:
        directory: of the store; it is made where there is none. A dry run only reads, also beside an engine.
        settings: as that engine will have them: what is declared is held against them.
        source: as `Engine.apply`.
        dry_run: only tell what would be different.

    Raises:
        BadDefinition: something cannot work; nothing was applied.
        StoreLocked: an engine works on it: ask that one.
        SchemaTooNew, StoreFull, StoreBroken, BadSettings: as `open_engine`.
    """
    declared = read_declared(source)
    look_in(settings.analyzers.python_path)
    store: Store
    if dry_run:
        try:
            store = LmdbStore.open_reader(directory)
        except StoreMissing:
            store = MemoryStore()
    else:
        store = LmdbStore.open(structs.replace(settings.storage, data_dir=str(directory)))
    try:
        planned = plan(load(store), settings, declared, SystemClock().wall_ms())
        operations = planned.definition_operations()
        # Tokens are made by the start that needs them.
        found = structs.replace(planned.difference, made=())
        if dry_run or not operations:
            return found
        store.commit(operations)
        return structs.replace(found, applied=True)
    finally:
        store.close()
