"""Definitions as they are handed in: TOML, JSON, tables or Structs become `Declared`, or a list of all faults.

Whatever comes in is checked value by value, Structs as well: a Struct that a program builds has been checked by nobody.
"""

import math
import tomllib
from collections.abc import Iterator, Mapping
from datetime import date, time
from typing import Any, Final, TypeVar

from engine.definitions.declared.datamarts import DatamartDefinition, Declared
from engine.definitions.kinds import CHANNEL, COMPARTMENT, DEFINED
from engine.errors import BadDefinition, CallerError
from engine.model.described import as_toml, checked
from engine.model.limits import MAX_NESTING
from engine.model.wire import check_nesting, decode, decoder, encode

M = TypeVar("M", bound=Mapping[str, Any])

Source = Declared | Mapping[str, Any] | str | bytes
"""Structs, plain tables, TOML text, or JSON text, which begins with `{`."""

MAX_DEFINITIONS: Final = 100_000
"""Of one kind in a datamart: far more than anybody maintains, and a bound of what one apply weighs."""

_tables = decoder(dict[str, Any])


def read_declared(source: Source) -> Declared:
    """What is declared.

    Raises:
        BadDefinition: it is not TOML or JSON, a key is unknown, or a value is not allowed; all faults are named.
    """
    data = tables_of_source(source)
    rows = data.get("datamart", [])
    if not isinstance(rows, list) or any(not isinstance(row, Mapping) for row in rows):
        _, faults = checked(Declared, data)
        raise BadDefinition(faults)
    _, faults = checked(Declared, data | {"datamart": []})
    datamarts: list[DatamartDefinition] = []
    for index, row in enumerate(rows):
        found, more = _datamart(row)
        faults += ((_below(f"datamart[{index}]", path), problem) for path, problem in more)
        if found is not None:
            datamarts.append(found)
    if faults:
        raise BadDefinition(faults)
    return Declared(datamarts=tuple(datamarts))


def tables_of_source(source: Source) -> dict[str, Any]:
    """Plain tables and values of what was handed in, not looked at any further.

    Raises:
        BadDefinition: it is not TOML or JSON, or holds what cannot be kept.
    """
    try:
        if isinstance(source, bytes):
            source = source.decode("utf-8")
        if isinstance(source, str):
            if source.lstrip().startswith("{"):
                text = source.encode("utf-8", "surrogatepass")
                check_nesting(text)
                return decode(_tables, text)
            return _good(tomllib.loads(source))
        # By way of JSON: tuples and Structs become the plain values that they will be kept as.
        text = encode(_good(source) if isinstance(source, Mapping) else source)
        check_nesting(text)
        return decode(_tables, text)
    except BadDefinition:
        raise
    except tomllib.TOMLDecodeError as error:
        raise BadDefinition([("", f"not a TOML file: {error}")]) from None
    except (UnicodeDecodeError, CallerError) as error:
        raise BadDefinition([("", f"not TOML and not JSON: {error}")]) from None
    except RecursionError:
        raise BadDefinition([("", "tables are nested too deeply")]) from None
    except (TypeError, ValueError) as error:
        raise BadDefinition([("", f"no plain values: {error}")]) from None


def definitions_reference() -> str:
    """A TOML file with every table and key a datamart may have, what is allowed and the reason."""
    return as_toml(Declared(datamarts=(DatamartDefinition(id=1),)))


def _datamart(row: Mapping[str, Any]) -> tuple[DatamartDefinition | None, list[tuple[str, str]]]:
    """A datamart; each definition is looked at for itself, so that all their faults are told at once."""
    faults: list[tuple[str, str]] = []
    lists: dict[str, tuple[Any, ...]] = {}
    own = dict(row)
    for kind in (CHANNEL, COMPARTMENT, *DEFINED):
        held = own.get(kind.name)
        if not isinstance(held, list):
            continue  # None, or a fault of the whole.
        del own[kind.name]
        if len(held) > MAX_DEFINITIONS:
            faults.append((kind.name, f"{len(held)} definitions, the bound is {MAX_DEFINITIONS}"))
            continue
        values = []
        for index, one in enumerate(held):
            value, more = checked(kind.type, one)
            faults += ((_below(f"{kind.name}[{index}]", path), problem) for path, problem in more)
            values.append(value)
        lists[kind.field] = tuple(values)
    found, more = checked(DatamartDefinition, own)
    faults += more
    if faults:
        return None, faults
    return DatamartDefinition(**{name: getattr(found, name) for name in found.__struct_fields__} | lists), []


def _good(data: M) -> M:
    if faults := list(_bad_values(data, "")):
        raise BadDefinition(faults)
    return data


def _bad_values(value: object, path: str, depth: int = 1) -> Iterator[tuple[str, str]]:
    """What cannot be kept as it is: dates, which queries compare as text, numbers that are none, and what is nested
    deeper than JSON may be here.
    """
    if depth > MAX_NESTING and isinstance(value, Mapping | list | tuple):
        yield path, f"arrays and tables are nested deeper than {MAX_NESTING}"
    elif isinstance(value, Mapping):
        for name, one in value.items():
            yield from _bad_values(one, _below(path, str(name)), depth + 1)
    elif isinstance(value, list | tuple):
        for index, one in enumerate(value):
            yield from _bad_values(one, f"{path}[{index}]", depth + 1)
    elif isinstance(value, float) and not math.isfinite(value):
        yield path, f"{value} is no number"
    elif isinstance(value, date | time):
        yield path, "a date or time is written as text, in quotation marks"


def _below(path: str, rest: str) -> str:
    if not path or not rest:
        return path or rest
    return path + rest if rest.startswith("[") else f"{path}.{rest}"
