"""What the types of declared Structs say: which tables there are, what a key may be, and why.

Fields are plain values, lists of them, tables with any keys, Structs (a table), tuples of Structs (an array of tables),
and unions of tagged Structs: a row says by its tag which of them it is.
"""

import re
from collections.abc import Mapping
from functools import cache
from inspect import cleandoc
from typing import Any, Final

from msgspec import Struct, inspect

from engine.model.wire import encode

_INDEX: Final = re.compile(r"\[[^\]]*\]")
_ATTRIBUTE: Final = re.compile(r"^    (\w+(?:, \w+)*): (.*)$")


@cache
def type_info(kind: Any) -> inspect.Type:  # noqa: ANN401 - any type is meant
    """What msgspec says of a type."""
    return inspect.type_info(kind)


def fields_of(struct: type[Struct]) -> tuple[inspect.Field, ...]:
    """The fields of a Struct, in order."""
    return _struct(struct).fields


def tag_of(struct: type[Struct]) -> tuple[str, str] | None:
    """The tag field of one of several Structs, and what it says there."""
    info = _struct(struct)
    return None if info.tag_field is None else (info.tag_field, str(info.tag))


def tables_of(kind: inspect.Type) -> tuple[type[Struct], ...]:
    """The Structs that a table, or a row of an array of tables, of this type may be; none of them: a plain value."""
    match plain(kind):
        case inspect.StructType(cls=cls):
            return (cls,)
        case inspect.VarTupleType(item_type=item):
            return tables_of(item)
        case inspect.UnionType(types=types):
            return tuple(cls for one in types for cls in tables_of(one))
    return ()


def table_for(kind: inspect.Type, row: Mapping[str, object]) -> type[Struct] | None:
    """The Struct that this row is to be; None where its tag does not say."""
    tables = tables_of(kind)
    if len(tables) == 1:
        return tables[0]
    return next((one for one in tables if (tag := tag_of(one)) and row.get(tag[0]) == tag[1]), None)


def is_array(kind: inspect.Type) -> bool:
    """Whether it is a list, or may be one."""
    match plain(kind):
        case inspect.VarTupleType():
            return True
        case inspect.UnionType(types=types):
            return any(is_array(one) for one in types)
    return False


def plain(kind: inspect.Type) -> inspect.Type:
    """The type without what is said about it."""
    while isinstance(kind, inspect.Metadata):
        kind = kind.type
    return kind


def type_at(kind: inspect.Type, key: str) -> inspect.Type | None:
    """The type of the value at a dotted key; None for one that is not known."""
    found: inspect.Type | None = kind
    for name in _INDEX.sub("", key).split("."):
        if found is None:
            return None
        if not name:
            continue
        tables = tables_of(found)
        tags = [tag[1] for one in tables if (tag := tag_of(one)) and tag[0] == name]
        if tags:
            return inspect.LiteralType(tuple(sorted(tags)))
        found = next((field.type for one in tables for field in fields_of(one) if field.encode_name == name), None)
    return None if found is None else plain(found)


def allowed(kind: inspect.Type) -> str:
    """What a value of this type may be, in words; "" where there is nothing to say."""
    match plain(kind):
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType(ge=low, le=high):
            return f"a whole number{_range(low, high)}"
        case inspect.FloatType(ge=low, le=high):
            return f"a number{_range(low, high)}"
        case inspect.LiteralType(values=values):
            return " or ".join(encode(value).decode() for value in values)
        case inspect.StrType(min_length=shortest, max_length=longest, pattern=pattern):
            shape = f" that matches {pattern}" if pattern else ""
            least = f"{shortest} to " if shortest and shortest > 1 else "at most "
            return f"text of {least}{longest} characters{shape}" if longest else f"text{shape}"
        case inspect.VarTupleType(item_type=item):
            return f"a list, each {each}" if (each := allowed(item)) else "a list"
        case inspect.DictType(value_type=value):
            return f"a table, each {each}" if (each := allowed(value)) else "a table"
        case inspect.UnionType(types=types):
            words = (allowed(one) for one in types if not isinstance(plain(one), inspect.NoneType))
            return " or ".join(one for one in words if one)
    return ""


def number_text(value: float) -> str:
    """A number as people write it."""
    return f"{value:_}" if abs(value) >= 100_000 else str(value)


def reason_of(struct: type[Struct], field: inspect.Field) -> str:
    """Why a key is there: the description of its type, or what the docstring says below `Attributes:`."""
    kind = field.type
    schema: dict[str, Any] = (kind.extra_json_schema or {}) if isinstance(kind, inspect.Metadata) else {}
    return str(schema.get("description", "")) or _attributes(struct).get(field.name, "")


def purpose_of(struct: type[Struct]) -> str:
    """What the table is, from its docstring."""
    return cleandoc(struct.__doc__ or "").partition("\nAttributes:")[0].strip()


@cache
def _attributes(struct: type[Struct]) -> dict[str, str]:
    found: dict[str, str] = {}
    for one in reversed(struct.__mro__):
        text = cleandoc(one.__doc__ or "") if one is not object else ""
        last: list[str] = []
        for line in text.partition("\nAttributes:\n")[2].splitlines():
            if match := _ATTRIBUTE.match(line):
                last = match[1].split(", ")
                found |= dict.fromkeys(last, match[2])
            elif line.strip():
                found |= {name: f"{found[name]} {line.strip()}" for name in last}
    return found


def _struct(struct: type[Struct]) -> inspect.StructType:
    info = type_info(struct)
    assert isinstance(info, inspect.StructType)
    return info


def _range(low: float | None, high: float | None) -> str:
    match low, high:
        case None, None:
            return ""
        case _, None:
            return f" from {number_text(low or 0)}"
        case None, _:
            return f" up to {number_text(high or 0)}"
    return f" from {number_text(low or 0)} to {number_text(high or 0)}"
