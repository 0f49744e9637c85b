"""Structs whose types say what is allowed and why: as TOML with comments, and in the words of an error.

A field's `Meta(description=…)` is its reason. Keys are dotted, with an index behind an array's name:
`datamart[0].channel[1].token`.
"""

import textwrap
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any, Final, TypeVar

from msgspec import NODEFAULT, Struct, ValidationError, convert, inspect

from engine.errors import BadSettings
from engine.model.shapes import (
    allowed,
    fields_of,
    is_array,
    number_text,
    purpose_of,
    reason_of,
    table_for,
    tables_of,
    tag_of,
    type_at,
    type_info,
)
from engine.model.wire import encode

S = TypeVar("S", bound=Struct)

_WIDTH: Final = 110


def keys_of(struct: type[Struct]) -> Iterator[str]:
    """The dotted keys of all plain values outside arrays of tables."""
    for one in fields_of(struct):
        tables = tables_of(one.type)
        if not tables:
            yield one.encode_name
        elif not is_array(one.type):
            yield from (f"{one.encode_name}.{key}" for key in keys_of(tables[0]))


def from_data(struct: type[S], data: Mapping[str, object], *, place: Callable[[str], str]) -> S:
    """Decode tables, lists and plain values.

    Args:
        struct: what it must be.
        data: as read from a file.
        place: names a key and where it came from, for the error; "" is the whole.

    Raises:
        BadSettings: unknown keys (all of them are named), or a value that is not allowed.
    """
    value, faults = checked(struct, data)
    if faults:
        raise BadSettings("\n".join(f"{place(key)}: {problem}" for key, problem in faults))
    assert isinstance(value, struct)
    return value


def checked(kind: Any, data: object) -> tuple[Any, list[tuple[str, str]]]:  # noqa: ANN401 - any type is meant
    """Decode tables, lists and plain values, or tell what is wrong with them.

    Args:
        kind: what it must be: a Struct, or a union of tagged ones.
        data: as read from a file.

    Returns:
        The value, and no fault; or None, and each fault's dotted key with what is wrong there.
    """
    if isinstance(data, Mapping) and (unknown := list(_unknown_keys(data, type_info(kind)))):
        return None, unknown
    try:
        return convert(data, kind), []
    except ValidationError as error:
        problem, _, path = str(error).partition(" - at `$")
        key = path.rstrip("`").removeprefix(".")
        found = type_at(type_info(kind), key)
        may_be = "" if found is None or not key else allowed(found)
        return None, [(key, f"{problem}{may_be and f'; allowed: {may_be}'}")]


def is_text(struct: type[Struct], key: str) -> bool:
    """Whether the value of this key is text; so is that of an unknown key."""
    return isinstance(type_at(type_info(struct), key), inspect.StrType | inspect.LiteralType | None)


def as_toml(value: Struct) -> str:
    """`value` as a TOML file: every key with its reason, what is allowed, and its value.

    An empty array of tables shows what a row of it could say, commented out.
    """
    return "\n".join(_table(value, "", "")).strip() + "\n"


def _table(value: Struct, path: str, header: str) -> Iterator[str]:
    struct = type(value)
    yield from _comment(purpose_of(struct))
    if header:
        yield header
    below: list[tuple[str, str, Struct]] = []
    examples: list[tuple[str, type[Struct]]] = []
    for one in fields_of(struct):
        held = getattr(value, one.name)
        dotted = path + one.encode_name
        tables = tables_of(one.type)
        if not tables:
            yield ""
            yield from _reasons(struct, one)
            yield f"# {one.encode_name} =" if held is None else f"{one.encode_name} = {_toml(held)}"
        elif is_array(one.type):
            below.extend((dotted, f"[[{dotted}]]", row) for row in held or ())
            if not held:
                examples += ((dotted, table) for table in tables)
        else:
            below.append((dotted, f"[{dotted}]", held))
    for dotted, its_header, row in below:
        yield from ("", "")
        yield from _table(row, f"{dotted}.", its_header)
    for dotted, table in examples:
        yield from ("", "")
        yield from _example(table, dotted)


def _example(struct: type[Struct], path: str) -> Iterator[str]:
    """A row of an array of tables that has none: its keys, their reasons and their defaults, all commented out."""
    yield from _comment(purpose_of(struct))
    yield f"# [[{path}]]"
    if tag := tag_of(struct):
        yield f"# {tag[0]} = {_toml(tag[1])}"
    for one in fields_of(struct):
        if not tables_of(one.type):
            yield ""
            yield from _reasons(struct, one)
            default = _default(one)
            yield f"# {one.encode_name} ={'' if default is None else f' {_toml(default)}'}"
    for one in fields_of(struct):
        for table in tables_of(one.type):
            yield from ("", "")
            yield from _example(table, f"{path}.{one.encode_name}")


def _default(one: inspect.Field) -> object:
    if one.default_factory is not NODEFAULT:
        return one.default_factory()
    return None if one.default is NODEFAULT else one.default


def _reasons(struct: type[Struct], one: inspect.Field) -> Iterator[str]:
    yield from _comment(reason_of(struct, one))
    if may_be := allowed(one.type):
        yield from _comment(f"Allowed: {may_be}.")


def _comment(text: str) -> Iterator[str]:
    return (f"# {line}" for line in textwrap.wrap(" ".join(text.split()), _WIDTH))


def _toml(value: object) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(map(_toml, value)) + "]" if len(value) < 4 else _long_list(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return number_text(value)
    # true and false, fractions and text are written alike in TOML and JSON, but for one character.
    return encode(value).decode().replace("\x7f", "\\u007f")


def _long_list(values: tuple[object, ...]) -> str:
    lines = [""]
    for text in map(_toml, values):
        if lines[-1] and len(lines[-1]) + len(text) > _WIDTH - 10:
            lines.append("")
        lines[-1] += f"{' ' if lines[-1] else '    '}{text},"
    return "\n".join(["[", *lines, "]"])


def _unknown_keys(data: Mapping[str, object], kind: inspect.Type, path: str = "") -> Iterator[tuple[str, str]]:
    """Each key of `data` that its Struct does not have: its dotted key, and a sentence that names the likely one."""
    struct = table_for(kind, data)
    if struct is None:
        return
    fields = {one.encode_name: one.type for one in fields_of(struct)}
    tag = tag_of(struct)
    for name, value in data.items():
        key = f"{path}{name}"
        if tag and name == tag[0]:
            continue
        if name not in fields:
            near = get_close_matches(name, fields, n=1)
            yield (
                key,
                f"unknown key; did you mean {near[0]}?" if near else f"unknown key; known are {', '.join(fields)}",
            )
        elif not tables_of(fields[name]):
            continue
        elif isinstance(value, Mapping):
            yield from _unknown_keys(value, fields[name], f"{key}.")
        elif isinstance(value, list | tuple):
            for index, row in enumerate(value):
                if isinstance(row, Mapping):
                    yield from _unknown_keys(row, fields[name], f"{key}[{index}].")
