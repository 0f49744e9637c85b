"""Where a fault of the steps stands in the file: from the names of `Defined` to those of a datamart's tables."""

import re
from typing import Final

from engine.definitions.declared.datamarts import DatamartDefinition
from engine.definitions.kinds import DEFINED
from engine.model.shapes import fields_of, tables_of, type_info

_SEGMENT: Final = re.compile(r"^(\w+)((?:\[[^\]]*\])*)$")
_FIRST: Final = re.compile(r"^(\w+?)(?:\[(\d+)\]|\.(\d+))?(?:\.(.*))?$")
_ATTACHED: Final = re.compile(r"^(analyzers|processings)_of\b")
_LAST_INDEX: Final = re.compile(r"\[(\d+)\]$")


def definition_at(path: str) -> tuple[str, int] | None:
    """Kind and index of the definition that a path of `Defined` leads into; None for one that leads nowhere."""
    found = _FIRST.match(path)
    kind = next((one.name for one in DEFINED if found and found[1] in (one.field, one.name)), None)
    index = found and (found[2] or found[3])
    return (kind, int(index)) if kind and index else None


def path_in_file(path: str, definition: DatamartDefinition) -> str:
    """The path below the datamart's table.

    Args:
        path: below `Defined`: `event_rules[2].pattern`, `automations[0].nodes[1].segment`, `analyzers_of.site:1[0]`.
        definition: what it was made from.
    """
    if attached := _ATTACHED.match(path):
        return _attachment(path, attached[1], definition)
    if (place := definition_at(path)) is None:
        return path
    kind = next(one for one in DEFINED if one.name == place[0])
    found = _FIRST.match(path)
    below = (found and found[4]) or ""
    return ".".join((f"{kind.name}[{place[1]}]", *_names(kind.type, below)))


def _attachment(path: str, field: str, definition: DatamartDefinition) -> str:
    keys = sorted(((one.key, index) for index, one in enumerate(definition.channels or ())), reverse=True)
    for key, index in keys:  # The longest of those that begin alike comes first.
        if key in path:
            at = _LAST_INDEX.search(path)
            return f"channel[{index}].{field}{at[0] if at else ''}"
    return path


def _names(kind: object, below: str) -> list[str]:
    tables = tables_of(type_info(kind))
    names: list[str] = []
    for segment in below.split(".") if below else ():
        found = _SEGMENT.match(segment)
        field = next(
            (one for table in tables for one in fields_of(table) if found and found[1] in (one.name, one.encode_name)),
            None,
        )
        names.append(segment if field is None or found is None else field.encode_name + found[2])
        tables = () if field is None else tables_of(field.type)
    return names
