"""What a start does before anything is accepted: bring definitions and tokens in line with settings and files."""

import secrets

from engine.clock import Clock
from engine.declaring import read_file
from engine.definitions.access import first_token
from engine.definitions.effective import Base, disagreements
from engine.definitions.rows import token_row
from engine.live import Definitions, definitions_of
from engine.observe import log
from engine.planning import Holding, base_of, load, plan
from engine.settings import Settings
from engine.store.port import Db, Delete, Operation, Put, Store

TOKEN_BYTES = 32
"""Of an admin token: 256 bits of chance."""


def prepare(store: Store, settings: Settings, clock: Clock) -> Definitions:
    """Read what is defined, add what the settings and their file of definitions declare, save the difference. Blocks.

    Raises:
        BadSettings: two of the declared have the same token or tracker key, or the file cannot be read.
        BadDefinition: what the file declares cannot work.
        StoreFull, StoreBroken: the difference cannot be saved.
    """
    stored = load(store)
    file = settings.definitions.file
    planned = plan(stored, settings, read_file(file) if file else None, clock.wall_ms())
    tokens = stored.tokens
    first = first_token(
        tokens,
        settings.api.admin_token,
        new_token=lambda: secrets.token_urlsafe(TOKEN_BYTES),
        created_ms=clock.wall_ms(),
    )
    operations: list[Operation] = [
        *planned.operations(),
        *(Delete(Db.DEFINITIONS, token_row(one)[0]) for one in first.remove),
    ]
    if first.save is not None:
        operations.append(Put(Db.DEFINITIONS, *token_row(first.save)))
        tokens = [one for one in tokens if one not in first.remove] + [first.save]
    if operations:
        store.commit(operations)
    if planned.difference:
        log("definitions applied", file=file, changes=planned.difference.counts())
    tell(planned.holding)
    _tell_disagreements(planned.holding, settings)
    return definitions_of(settings, planned.holding, tuple(tokens), first.show)


def tell(holding: Holding) -> None:
    """Say aloud what is set aside."""
    for rows in holding.aside.values():
        for one in rows:
            log(
                "definition set aside: it is kept, but cannot be used; apply definitions that work",
                "error",
                datamart=one.datamart,
                kind=one.kind,
                id=one.id,
                why=one.why,
            )


def _tell_disagreements(holding: Holding, settings: Settings) -> None:
    nothing = Settings().datamarts
    for declared in settings.datamarts if settings.datamarts != nothing else ():
        applied = holding.applied.get(declared.id)
        base: Base = base_of(declared, settings.identity)
        if applied is not None and (keys := disagreements(base, applied)):
            log("settings and definitions disagree; the definitions hold", "warning", datamart=base.id, keys=keys)
