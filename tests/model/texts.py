"""JSON as strangers write it: any number text, escapes where none are needed, white space anywhere; and its reading."""

import json

from hypothesis import strategies as st


class Number(str):
    """A number as it is written; two spellings of one number are different values."""

    __slots__ = ()


class Object(tuple):
    """The members of an object in their order, each once."""

    __slots__ = ()


NUMBERS = st.from_regex(r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,5})?([eE][+-]?[0-9]{1,3})?", fullmatch=True).map(Number)
STRINGS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
KEYS = STRINGS.filter(lambda key: not key.startswith("$"))
SCALARS = st.none() | st.booleans() | NUMBERS | STRINGS


def objects(values, *, keys=KEYS, max_size=4):
    return st.lists(st.tuples(keys, values), max_size=max_size, unique_by=lambda member: member[0]).map(Object)


VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | objects(inner), max_leaves=12)
OBJECTS = objects(VALUES)
WHITE = st.sampled_from(["", "", "", " ", "\n", "\t ", "\r\n"])


def compact(value) -> str:
    """The one spelling without white space and needless escapes, written apart from the engine's."""
    match value:
        case Number():
            return str(value)
        case Object():
            return "{" + ",".join(f"{compact(key)}:{compact(inner)}" for key, inner in value) + "}"
        case list():
            return "[" + ",".join(map(compact, value)) + "]"
        case _:
            return json.dumps(value, ensure_ascii=False)


@st.composite
def spelled(draw, value) -> str:
    """One of the many spellings of a value."""
    white = lambda: draw(WHITE)  # noqa: E731 - drawn anew at each place
    match value:
        case Number():
            return str(value)
        case str():
            return '"' + "".join([draw(st.sampled_from(_spellings(letter))) for letter in value]) + '"'
        case Object():
            inner = [
                f"{white()}{draw(spelled(key))}{white()}:{white()}{draw(spelled(one))}{white()}" for key, one in value
            ]
            return "{" + (",".join(inner) or white()) + "}"
        case list():
            return "[" + (",".join([f"{white()}{draw(spelled(one))}{white()}" for one in value]) or white()) + "]"
        case _:
            return json.dumps(value)


def _spellings(letter: str) -> list[str]:
    units = letter.encode("utf-16-be").hex()
    escaped = "".join("\\u" + units[place : place + 4] for place in range(0, len(units), 4))
    plain = json.dumps(letter, ensure_ascii=False)[1:-1]
    return [plain, plain, plain, escaped, escaped.upper().replace("\\U", "\\u"), *(["\\/"] if letter == "/" else [])]


def read(data: bytes):
    """What JSON bytes say, number text and order of members included."""
    return json.loads(data, parse_int=Number, parse_float=Number, parse_constant=_refuse, object_pairs_hook=Object)


def _refuse(text):
    raise ValueError(f"{text} is no JSON")
