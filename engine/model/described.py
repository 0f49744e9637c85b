"""Structs whose types say what is allowed and why: as TOML with comments, and in the words of an error.

A field's `Meta(description=…)` is its reason. Fields are plain values, lists of them, Structs (a table) or tuples of
Structs (an array of tables); keys are dotted, with an index behind an array's name: `datamart[0].channel[1].token`.
"""

import re
import textwrap
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from inspect import cleandoc
from typing import Any, Final, TypeVar

from msgspec import NODEFAULT, Struct, ValidationError, convert, inspect

from engine.errors import BadSettings
from engine.model.wire import encode

S = TypeVar("S", bound=Struct)

_INDEX: Final = re.compile(r"\[[^\]]*\]")
_WIDTH: Final = 110


def keys_of(struct: type[Struct]) -> Iterator[str]:
    """The dotted keys of all plain values outside arrays of tables."""
    for one in _fields(struct):
        if (table := _table_type(one.type)) is None:
            yield one.encode_name
        elif not _is_array(one.type):
            yield from (f"{one.encode_name}.{key}" for key in keys_of(table))


def from_data(struct: type[S], data: Mapping[str, object], *, place: Callable[[str], str]) -> S:
    """Decode tables, lists and plain values.

    Args:
        struct: what it must be.
        data: as read from a file.
        place: names a key and where it came from, for the error; "" is the whole.

    Raises:
        BadSettings: unknown keys (all of them are named), or a value that is not allowed.
    """
    if unknown := list(_unknown_keys(data, struct)):
        raise BadSettings("\n".join(f"{place(key)}: {problem}" for key, problem in unknown))
    try:
        return convert(data, struct)
    except ValidationError as error:
        problem, _, path = str(error).partition(" - at `$")
        key = path.rstrip("`").removeprefix(".")
        kind = _type_at(struct, key)
        allowed = "" if kind is None else _allowed(kind)
        raise BadSettings(f"{place(key)}: {problem}{allowed and f'; allowed: {allowed}'}") from None


def is_text(struct: type[Struct], key: str) -> bool:
    """Whether the value of this key is text; so is that of an unknown key."""
    return isinstance(_type_at(struct, key), inspect.StrType | inspect.LiteralType | None)


def as_toml(value: Struct) -> str:
    """`value` as a TOML file: every key with its reason, what is allowed, and its value.

    An empty array of tables shows what a row of it could say, commented out.
    """
    return "\n".join(_table(value, "", "")).strip() + "\n"


def _table(value: Struct, path: str, header: str) -> Iterator[str]:
    struct = type(value)
    yield from _comment(cleandoc(struct.__doc__ or ""))
    if header:
        yield header
    tables: list[tuple[str, str, Struct]] = []
    examples: list[tuple[str, type[Struct]]] = []
    for one in _fields(struct):
        held = getattr(value, one.name)
        dotted = path + one.encode_name
        table = _table_type(one.type)
        if table is None:
            yield ""
            yield from _reasons(one)
            yield f"# {one.encode_name} =" if held is None else f"{one.encode_name} = {_toml(held)}"
        elif _is_array(one.type):
            tables.extend((dotted, f"[[{dotted}]]", row) for row in held)
            if not held:
                examples.append((dotted, table))
        else:
            tables.append((dotted, f"[{dotted}]", held))
    for dotted, its_header, row in tables:
        yield from ("", "")
        yield from _table(row, f"{dotted}.", its_header)
    for dotted, table in examples:
        yield from ("", "")
        yield from _example(table, dotted)


def _example(struct: type[Struct], path: str) -> Iterator[str]:
    """A row of an array of tables that has none: its keys, their reasons and their defaults, all commented out."""
    yield from _comment(cleandoc(struct.__doc__ or ""))
    yield f"# [[{path}]]"
    for one in _fields(struct):
        if _table_type(one.type) is None:
            yield ""
            yield from _reasons(one)
            default = None if one.default is NODEFAULT else one.default
            yield f"# {one.encode_name} ={'' if default is None else f' {_toml(default)}'}"


def _reasons(one: inspect.Field) -> Iterator[str]:
    yield from _comment(_description(one.type))
    yield from _comment(f"Allowed: {_allowed(_plain(one.type))}.")


def _comment(text: str) -> Iterator[str]:
    return (f"# {line}" for line in textwrap.wrap(" ".join(text.split()), _WIDTH))


def _toml(value: object) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(map(_toml, value)) + "]" if len(value) < 4 else _long_list(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return _number(value)
    # true and false, fractions and text are written alike in TOML and JSON, but for one character.
    return encode(value).decode().replace("\x7f", "\\u007f")


def _long_list(values: tuple[object, ...]) -> str:
    lines = [""]
    for text in map(_toml, values):
        if lines[-1] and len(lines[-1]) + len(text) > _WIDTH - 10:
            lines.append("")
        lines[-1] += f"{' ' if lines[-1] else '    '}{text},"
    return "\n".join(["[", *lines, "]"])


def _number(value: float) -> str:
    return f"{value:_}" if abs(value) >= 100_000 else str(value)


def _allowed(kind: inspect.Type) -> str:
    match kind:
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType(ge=low, le=high) if low is not None and high is not None:
            return f"a whole number from {_number(low)} to {_number(high)}"
        case inspect.FloatType(ge=low, le=high) if low is not None and high is not None:
            return f"a number from {_number(low)} to {_number(high)}"
        case inspect.LiteralType(values=values):
            return " or ".join(encode(value).decode() for value in values)
        case inspect.StrType(min_length=shortest, max_length=longest, pattern=pattern):
            shape = f" that matches {pattern}" if pattern else ""
            least = f"{shortest} to " if shortest and shortest > 1 else "at most "
            return f"text of {least}{longest} characters{shape}" if longest else f"text{shape}"
        case inspect.VarTupleType(item_type=item):
            return f"a list, each {_allowed(_plain(item))}"
        case inspect.UnionType(types=types):
            return " or ".join(_allowed(_plain(one)) for one in types if not isinstance(one, inspect.NoneType))
    return ""


def _type_at(struct: type[Struct], key: str) -> inspect.Type | None:
    kind: inspect.Type | None = inspect.type_info(struct)
    for name in _INDEX.sub("", key).split("."):
        if kind is None or (table := _table_type(kind)) is None:
            return None
        kind = next((one.type for one in _fields(table) if one.encode_name == name), None)
    return None if kind is None else _plain(kind)


def _fields(struct: type[Struct]) -> tuple[inspect.Field, ...]:
    info = inspect.type_info(struct)
    assert isinstance(info, inspect.StructType)
    return info.fields


def _table_type(kind: inspect.Type) -> type[Struct] | None:
    """The Struct of a table or of an array of tables."""
    kind = _plain(kind)
    if isinstance(kind, inspect.VarTupleType):
        kind = _plain(kind.item_type)
    return kind.cls if isinstance(kind, inspect.StructType) else None


def _is_array(kind: inspect.Type) -> bool:
    return isinstance(_plain(kind), inspect.VarTupleType)


def _plain(kind: inspect.Type) -> inspect.Type:
    while isinstance(kind, inspect.Metadata):
        kind = kind.type
    return kind


def _description(kind: inspect.Type) -> str:
    schema: dict[str, Any] = (kind.extra_json_schema or {}) if isinstance(kind, inspect.Metadata) else {}
    return str(schema.get("description", ""))


def _unknown_keys(data: Mapping[str, object], struct: type[Struct], path: str = "") -> Iterator[tuple[str, str]]:
    """Each key of `data` that `struct` does not have: its dotted key, and a sentence that names the likely one."""
    fields = {one.encode_name: one.type for one in _fields(struct)}
    for name, value in data.items():
        key = f"{path}{name}"
        if name not in fields:
            near = get_close_matches(name, fields, n=1)
            yield (
                key,
                f"unknown key; did you mean {near[0]}?" if near else f"unknown key; known are {', '.join(fields)}",
            )
        elif (table := _table_type(fields[name])) is None:
            continue
        elif isinstance(value, Mapping):
            yield from _unknown_keys(value, table, f"{key}.")
        elif isinstance(value, list | tuple):
            for index, row in enumerate(value):
                if isinstance(row, Mapping):
                    yield from _unknown_keys(row, table, f"{key}[{index}].")
