"""The steps of every datamart, made of what is defined there; what of it cannot be used any more is set aside.

What is applied is compiled first, and refused when it cannot work. What was applied before may meet a newer version of
the program that refuses it. Then the engine starts all the same: that definition is set aside, loudly, the rest works.
Where that could keep what must not be kept (a processing, an analyzer, or nobody knows what), the datamart's activities
become dead letters until somebody applies definitions that work.
"""

from typing import Final

from msgspec import structs

from engine.actors.analysts.callables import check_callables
from engine.definitions.declared.datamarts import DatamartDefinition
from engine.definitions.declared.schema import SchemaMapping
from engine.definitions.defined import Defined
from engine.definitions.effective import Base, Effective, effective
from engine.definitions.kinds import KINDS, SCHEMA, id_of
from engine.definitions.paths import definition_at, path_in_file
from engine.definitions.queries import check_queries
from engine.definitions.restored import Restored, SetAside, without
from engine.errors import BadDefinition, CallerError
from engine.model.activity import Activity
from engine.pipeline import user_choices
from engine.pipeline.chain import build_program
from engine.pipeline.stage import Context, Dead, Program, Verdict
from engine.session.closed import Closed

CLOSED_KINDS: Final = ("", "datamart", "processing", "analyzer")
"""Without one of these, what is stored might be what must not be: then nothing is."""

REASON: Final = "bad_definition"
"""Of the dead letters of a datamart in which one of those is set aside."""


def compiled(defined: Defined, declared: DatamartDefinition, path: str) -> Program:
    """The program of what is to be applied.

    Args:
        defined: what it is made from.
        declared: as it was handed in.
        path: of the datamart in it, such as `datamart[0]`.

    Raises:
        BadDefinition: it cannot work.
    """
    try:
        program = _made(defined)
        check_callables(defined)
        return program
    except CallerError as error:
        below = path_in_file(error.path, declared)
        raise BadDefinition([(f"{path}.{below}" if below else path, error.message)]) from error
    except Exception as error:
        raise BadDefinition([(path, f"the steps cannot be made of it: {error!r}")]) from error


def salvaged(base: Base, restored: Restored) -> tuple[Effective, Program, tuple[SetAside, ...]]:
    """What still can be used of what was applied, its program, and what was set aside."""
    aside = list(restored.aside)
    definition = restored.definition
    while True:
        holds = effective(base, definition, restored.version)
        try:
            program = _made(holds.defined)
            break
        except Exception as error:
            if isinstance(error, CallerError) and error.path.startswith(SCHEMA.name):
                aside.append(SetAside(definition.id, SCHEMA.name, SCHEMA.name, f"{error} - at {error.path}"))
                definition = structs.replace(definition, schema=SchemaMapping())
                continue
            at = definition_at(error.path) if isinstance(error, CallerError) else None
            rows = getattr(definition, KINDS[at[0]].field) if at else ()
            if at is None or at[1] >= len(rows):
                aside.append(SetAside(definition.id, "", "", str(error) or repr(error)))
                program = build_program(_nothing(holds.defined))
                break
            name = id_of(KINDS[at[0]], rows[at[1]])
            aside.append(SetAside(definition.id, at[0], name, f"{error} - at {getattr(error, 'path', '')}"))
            definition = without(definition, *at)
    if any(one.kind in CLOSED_KINDS for one in aside):
        program = _refusing(program, aside)
    return holds, program, tuple(aside)


def _made(defined: Defined) -> Program:
    check_queries(defined)
    return build_program(defined)


def _nothing(defined: Defined) -> Defined:
    return Defined(
        datamart=defined.datamart,
        version=defined.version,
        default_compartment=defined.default_compartment,
        identity=defined.identity,
    )


def _refusing(program: Program, aside: list[SetAside]) -> Program:
    detail = "; ".join(f"{one.kind or 'definitions'} {one.id}: {one.why}" for one in aside)[:1000]

    def refuse(closed: Closed, activity: Activity, context: Context) -> Verdict:
        return Dead(REASON, detail)

    return structs.replace(program, steps={**program.steps, user_choices.NAME: refuse})
