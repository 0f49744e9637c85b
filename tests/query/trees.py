"""Drawn queries and documents, and the slow, obvious evaluator that compiled queries are held against."""

import re
from typing import Any

from hypothesis import strategies as st

from engine.query.ast import (
    Compare,
    Exists,
    Expression,
    Group,
    Kind,
    Object,
    Operation,
    Operator,
    Place,
    Query,
    Score,
    Selection,
)
from engine.query.dates import moment_ms, span_of
from engine.query.document import Document

NOW_MS = 1_700_000_000_000

# -- queries, drawn within a small part of the default schema: type → fields by kind, and links

TEXTS = st.sampled_from(["a", "b", "ab", "", "A", "é\n\"'\\", "$page_view", "12", "true", "a.b*"])
PATTERNS = st.sampled_from(["a", "a*b?", ".*", "(a|b)+", "[^a]*", "(?i)AB", "\\d+", "\\$page.*", ""])
NUMBERS = st.one_of(st.integers(-3, 15), st.sampled_from([0.5, 12.0, -1.25, 1e30]))
TIMES = st.one_of(
    st.sampled_from(
        ["now", "now-1d", "now-1d/d", "now/M", "now+2h/h", "2023-11-14", "2023-11", "2023-11-14T22:13:20Z", "now-1w/w"]
    ),
    st.integers(NOW_MS - 90_000_000, NOW_MS + 90_000_000),
)

FIELDS: dict[str, dict[Kind, list[str]]] = {
    "UserActivity": {
        Kind.ENUM: ["type", "$session_status"],
        Kind.NUMERIC: ["duration", "$ttl"],
        Kind.TIME: ["ts", "date"],
        Kind.STRING: ["channel_id", "id", "$user_agent_id", "origin.source", "$custom.colour"],
    },
    "UserEvent": {
        Kind.STRING: ["name", "nature", "channel_id", "url", "properties.colour", "$properties.`odd key`"],
        Kind.TIME: ["ts", "activity_date"],
        Kind.NUMERIC: ["properties.size", "$properties.$items.$price"],
        Kind.BOOLEAN: ["properties.flag"],
    },
    "Item": {Kind.NUMERIC: ["price", "qty"], Kind.STRING: ["id", "name"]},
    "UserPoint": {Kind.STRING: ["id"]},
    "UserSegment": {Kind.STRING: ["id"]},
}
LINKS = {
    "UserActivity": {"events": "UserEvent"},
    "UserEvent": {"items": "Item"},
    "Item": {},
    "UserPoint": {"activities": "UserActivity", "activity_events": "UserEvent", "segments": "UserSegment"},
    "UserSegment": {},
}
VALUES = {Kind.ENUM: TEXTS, Kind.NUMERIC: NUMBERS, Kind.TIME: TIMES, Kind.BOOLEAN: st.booleans()}
EQUALITY = [Operator.EQ, Operator.NE]
ORDER = [Operator.LT, Operator.LTE, Operator.GT, Operator.GTE]
OPERATORS = {
    Kind.STRING: [one for one in Operator if one not in ORDER],
    Kind.ENUM: EQUALITY,
    Kind.BOOLEAN: EQUALITY,
    Kind.NUMERIC: EQUALITY + ORDER,
    Kind.TIME: EQUALITY + ORDER,
}


@st.composite
def compares(draw: st.DrawFn, here: str) -> Compare:
    kind = draw(st.sampled_from(sorted(FIELDS[here])))
    field = draw(st.sampled_from(FIELDS[here][kind]))
    operator = draw(st.sampled_from(OPERATORS[kind]))
    values = VALUES.get(kind, TEXTS)
    if operator in (Operator.MATCHES, Operator.NOT_MATCHES):
        values = PATTERNS
    return Compare(field, operator, tuple(draw(st.lists(values, min_size=1, max_size=3))), kind)


@st.composite
def expressions(draw: st.DrawFn, here: str, depth: int = 3, *, scored: bool = True) -> Expression:
    kinds = ["compare", "compare", "exists"] + (["group", "object"] if depth else [])
    kind = draw(st.sampled_from(kinds))
    if kind == "compare":
        return draw(compares(here))
    if kind == "exists":
        names = [name for names in FIELDS[here].values() for name in names] + sorted(LINKS[here])
        return Exists(draw(st.sampled_from(names)), draw(st.booleans()))
    link = draw(st.sampled_from(sorted(LINKS[here]))) if kind == "object" and LINKS[here] else ""
    inner_type = LINKS[here][link] if link else here
    inner = tuple(draw(st.lists(expressions(inner_type, depth - 1, scored=scored), max_size=3)))
    # Of one or no expression, no text says whether AND or OR joins it.
    operator = draw(st.sampled_from(["AND", "OR"])) if len(inner) > 1 else "AND"
    negation = draw(st.booleans())
    if not link:
        return Group(operator, inner, negation)
    score = draw(st.none() | scores(inner_type)) if scored else None
    return Object(link, operator, inner, negation, score)


@st.composite
def scores(draw: st.DrawFn, here: str) -> Score:
    fields = FIELDS[here].get(Kind.NUMERIC, [])
    return Score(
        draw(st.none() | st.sampled_from([1, 2, 0.5, 20, -1])),
        draw(st.sampled_from(["SUM", "AVERAGE", "MIN", "MAX"])),
        draw(st.sampled_from(["", *fields])),
    )


ROOTS = st.sampled_from(["UserActivity", "UserEvent", "UserPoint"])


@st.composite
def queries(draw: st.DrawFn, *, scored: bool = True) -> Query:
    root = draw(ROOTS)
    names = [name for names in FIELDS[root].values() for name in names]
    selections = tuple(Selection(name) for name in draw(st.lists(st.sampled_from(names), min_size=1, max_size=3)))
    where = draw(st.none() | expressions(root, scored=scored))
    return Query(root, Operation((), selections), where, draw(st.none() | st.integers(0, 100)))


def bare(value: Any) -> Any:
    """A tree without the places in it."""
    if isinstance(value, tuple):
        return tuple(bare(one) for one in value)
    if hasattr(value, "__struct_fields__"):
        found = {name: bare(getattr(value, name)) for name in value.__struct_fields__ if name != "at"}
        return type(value)(**found, **({"at": Place()} if "at" in value.__struct_fields__ else {}))
    return value


# -- documents

SCALARS = st.one_of(TEXTS, st.integers(-3, 15), st.sampled_from([12.5, 0.5, True, False, None, "12.5", "7", "x"]))
LOOSE = st.one_of(
    SCALARS, st.lists(SCALARS, max_size=3), st.just({"k": "a"}), st.lists(st.lists(SCALARS, max_size=2), max_size=2)
)
STAMPS = st.one_of(st.integers(NOW_MS - 90_000_000, NOW_MS), st.just("2023-11-14T10:00:00Z"))


def optional(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


ITEMS = optional(**{"$price": LOOSE, "price": LOOSE, "$qty": LOOSE, "$id": LOOSE, "$name": LOOSE, "name": SCALARS})
PROPERTIES = optional(
    **{
        "colour": LOOSE,
        "size": LOOSE,
        "flag": LOOSE,
        "odd key": LOOSE,
        "$url": LOOSE,
        "$items": st.one_of(st.lists(ITEMS, max_size=3), ITEMS, LOOSE),
    }
)
EVENTS = st.fixed_dictionaries(
    {"$ts": st.integers(NOW_MS - 90_000_000, NOW_MS), "$event_name": TEXTS},
    optional={"$properties": st.one_of(PROPERTIES, LOOSE)},
)
ACTIVITIES = st.fixed_dictionaries(
    {"$ts": STAMPS, "$type": TEXTS, "$events": st.lists(EVENTS, max_size=4)},
    optional={
        "$session_status": TEXTS,
        "$session_duration": LOOSE,
        "$ttl": LOOSE,
        "$site_id": LOOSE,
        "$app_id": LOOSE,
        "$unique_key": LOOSE,
        "$user_agent_id": LOOSE,
        "$origin": st.one_of(optional(**{"$source": LOOSE}), LOOSE),
        "colour": LOOSE,
    },
)
SEGMENTS = st.lists(optional(**{"$id": SCALARS, "id": SCALARS}), max_size=2)


@st.composite
def documents(draw: st.DrawFn) -> Document:
    segments = draw(SEGMENTS)
    return Document(
        draw(ACTIVITIES),
        now_ms=NOW_MS,
        person=lambda link: segments if link == "segments" else (),
        user_point=draw(st.sampled_from(["", "a"])),
    )


# -- the slow, obvious evaluator: what §7.5 and the docstrings say, and nothing clever

PATHS = {
    "type": "$type",
    "duration": "$session_duration",
    "ts": "$ts",
    "date": "$ts",
    "channel_id": "$site_id|$app_id",
    "id": "$unique_key",
    "origin.source": "$origin.$source",
    "$custom.colour": "colour",
    "name": "$event_name",
    "nature": "$event_name",
    "url": "$properties.$url",
    "properties.colour": "$properties.colour",
    "$properties.`odd key`": "$properties.odd key",
    "properties.size": "$properties.size",
    "properties.flag": "$properties.flag",
    "activity_date": "$ts",
    "items": "$properties.$items",
}
ITEM_PATHS = {"price": "$price|price", "qty": "$qty|qty", "id": "$id", "name": "$name|name"}
SEGMENT_PATHS = {"id": "$id|id"}
OF_ACTIVITY = {("UserEvent", "channel_id"), ("UserEvent", "activity_date")}


def found_at(value: Any, keys: list[str]) -> list[Any]:
    """All that is at a path; lists stand for their elements, null is nothing."""
    if isinstance(value, list):
        return [one for element in value for one in found_at(element, keys)]
    if value is None:
        return []
    if not keys:
        return [value]
    return found_at(value[keys[0]], keys[1:]) if isinstance(value, dict) and keys[0] in value else []


def present(value: Any) -> bool:
    """Whether there is anything but null."""
    return any(present(one) for one in value) if isinstance(value, list) else value is not None


def of_field(name: str, here: str, value: Any, document: Document) -> list[Any]:
    if here == "UserPoint":
        return [document.user_point] if document.user_point else []
    paths = {"Item": ITEM_PATHS, "UserSegment": SEGMENT_PATHS}.get(here, PATHS).get(name, name)
    source = document.activity if (here, name) in OF_ACTIVITY else value
    for path in paths.split("|"):
        found = found_at(source, path.split("."))
        if present(found):
            return found
    return []


def as_number(value: Any) -> float | int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        return float(value) if re.fullmatch(r"\s*-?\d+(\.\d+)?\s*", value, re.ASCII) else None
    return value if isinstance(value, int | float) else None


def as_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else str(int(value) if value == int(value) else value)


def fits(operator: Operator, kind: Kind, found: Any, wanted: Any) -> bool:
    if kind is Kind.TIME:
        at = moment_ms(found) if isinstance(found, str) else found
        if isinstance(at, bool) or not isinstance(at, int | float):
            return False
        span = span_of(wanted) if isinstance(wanted, str) else (wanted, wanted)
        first, last = span(NOW_MS) if callable(span) else span
        at = int(at // 1)
        return {"=": first <= at <= last, "<": at < first, "<=": at <= last, ">": at > last, ">=": at >= first}[
            operator
        ]
    if kind is Kind.NUMERIC:
        number = as_number(found)
        if number is None:
            return False
        return {
            "=": number == wanted,
            "<": number < wanted,
            "<=": number <= wanted,
            ">": number > wanted,
            ">=": number >= wanted,
        }[operator]
    if kind is Kind.BOOLEAN:
        text = found.lower() if isinstance(found, str) else found
        return (text is True or text == "true") if wanted else (text is False or text == "false")
    text = as_text(found)
    if operator is Operator.MATCHES:
        return re.fullmatch(wanted, text, re.DOTALL | re.ASCII * ("\\d" in wanted)) is not None
    return {"=": text == wanted, "STARTS_WITH": text.startswith(wanted), "CONTAINS": wanted in text}[operator]


NEGATIVE = {
    "!=": "=",
    "DOES_NOT_MATCH": "MATCHES",
    "DOES_NOT_START_WITH": "STARTS_WITH",
    "DOES_NOT_CONTAIN": "CONTAINS",
}


def behind(link: str, value: Any, document: Document) -> list[Any]:
    if link == "segments":
        return list(document.of_person("segments"))
    if link == "activities":
        return [document.activity]
    if link in ("events", "activity_events"):
        return document.activity["$events"]
    return [one for one in found_at(value, PATHS[link].split(".")) if isinstance(one, dict)]


def score_of(expression: Expression, here: str, value: Any, document: Document) -> float:
    """The score of an expression on an object."""
    if isinstance(expression, Compare):
        found = [one for one in of_field(expression.field, here, value, document) if not isinstance(one, dict)]
        operator = Operator(NEGATIVE.get(expression.operator, expression.operator))
        holds = any(fits(operator, expression.kind, one, wanted) for one in found for wanted in expression.values)
        return float(holds is not (expression.operator in NEGATIVE))
    if isinstance(expression, Exists):
        if expression.field in LINKS[here]:
            there = bool(behind(expression.field, value, document))
        else:
            there = present(of_field(expression.field, here, value, document))
        return float(there is expression.exists)
    if isinstance(expression, Group):
        found_score = joined(expression, here, value, document)
    else:
        found_score = object_score(expression, here, value, document)
    return float(found_score <= 0) if expression.negation else found_score


def joined(node: Group | Object, here: str, value: Any, document: Document) -> float:
    found = [score_of(one, here, value, document) for one in node.expressions]
    if node.operator == "OR" and found:
        return max(found)
    product = 1.0
    for one in found:
        product *= max(one, 0.0)
    return product


def object_score(node: Object, here: str, value: Any, document: Document) -> float:
    to = LINKS[here][node.field]
    found = []
    for one in behind(node.field, value, document):
        score = joined(node, to, one, document)
        if score > 0:
            if node.score is not None and node.score.field:
                numbers = of_field(node.score.field, to, one, document)
                if node.score.field == "$properties.$items.$price":
                    numbers = found_at(one, ["$properties", "$items", "$price"])
                score = sum(n for x in numbers if (n := as_number(x)) is not None)
            found.append(score)
    function = node.score.function if node.score else "MAX"
    total = 0.0
    if found:
        total = {"SUM": sum(found), "AVERAGE": sum(found) / len(found), "MIN": min(found), "MAX": max(found)}[function]
    least = node.score.min_score if node.score else None
    return 0.0 if least is not None and total < least else total


def slow_match(query: Query, document: Document) -> float | None:
    """The score with which a query holds of a document, or None."""
    roots = {
        "UserActivity": [document.activity],
        "UserEvent": document.activity["$events"],
        "UserPoint": [{}],
    }[query.root]
    for root in roots:
        score = 1.0 if query.where is None else score_of(query.where, query.root, root, document)
        if score > 0:
            return score
    return None
