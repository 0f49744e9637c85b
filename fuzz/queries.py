"""The readers of queries against any text and any JSON.

    python -m fuzz.queries --seconds 60 [--seed 1]

Any text gives a tree or a `QueryError` with a place in the text, any JSON a tree or a `QueryError` with a path, and
never another exception. What is read can be written and read again to the same; what is checked can be compiled and
asked of an activity; and all of it takes a bounded time.

Where atheris is installed it guides the bytes by coverage; else they are mutations of valid queries, drawn at random.
"""

import argparse
import json
import random
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

from engine.query import json_otql, json_text, otql, otql_text
from engine.query.ast import Query
from engine.query.check import check as check_query
from engine.query.compile import compile_checked
from engine.query.default_schema import DEFAULT
from engine.query.document import Document
from engine.query.errors import QueryError
from engine.query.execute import Execution
from engine.query.pattern import Pattern
from engine.query.time_range import time_range

MAX_INPUT_CHARS = 4000

TIMEOUT_S = 5.0
"""Of one input, which takes some milliseconds."""

NOW_MS = 1_700_000_000_000
ACTIVITY: dict[str, Any] = {
    "$ts": NOW_MS - 1000,
    "$type": "SITE_VISIT",
    "$site_id": "1",
    "$origin": {"$source": "news"},
    "$events": [
        {"$ts": NOW_MS - 1000, "$event_name": "a", "$properties": {"x": [1, "2", None], "$items": [{"$price": "5"}]}},
        {"$ts": NOW_MS, "$event_name": "b", "$properties": "no object"},
        {"$ts": NOW_MS, "$event_name": "c"},
    ],
}

PIECES = (
    *(
        "SELECT ",
        "FROM ",
        "WHERE ",
        "LIMIT 3",
        " AND ",
        " OR ",
        " NOT ",
        "(",
        ")",
        "{ ",
        " }",
        "[",
        "]",
        ", ",
        "@",
        ":",
    ),
    *("UserEvent ", "UserActivity ", "UserPoint ", "ActivityEvent ", "@count{} ", "@map(limit: 3) ", "@avg "),
    *(
        "name ",
        "events { ",
        "items { ",
        "ts ",
        "date ",
        "channel_id ",
        "properties.x ",
        "$properties.`odd key` ",
        "price ",
    ),
    *(
        "activities { ",
        "segments { ",
        "origin.source ",
        "@ScoreSum(min: 2) ",
        '@ScoreField(name: "price") ',
        "nothing ",
    ),
    *("= ", "!= ", "< ", ">= ", "IN ", "NOT IN ", "MATCHES ", "STARTS_WITH ", "CONTAINS ", "IS NULL ", "IS NOT NULL "),
    *('"a" ', '"now-7d/d" ', '"(a|b)*" ', '"\\u00e9" ', "'b' ", "12 ", "-0.5 ", "1e3 ", "true ", "# why\n", "\n", "\t"),
)
VALID = (
    'name = "a" AND channel_id = 1',
    'events { name IN ["a", "b"] AND items { price > 4 OR NOT name STARTS_WITH "x" } }',
    'SELECT @count{} FROM UserEvent WHERE name = "a" AND date = "now-7d/d" AND channel_id = 2419',
    'SELECT { id date events { name properties { x } } } FROM UserActivity WHERE ts >= "2023-11" LIMIT 5',
    'SELECT { name @map(limit: 3) date @date_histogram(interval: "day") items { price @avg } } FROM UserEvent',
    'SELECT { id } FROM UserPoint WHERE activities { type = "SITE_VISIT" } AND NOT segments {}',
    'events @ScoreField(name: "properties.x") @ScoreSum(min: 2) { url MATCHES "https?://[^/]+/[0-9]" OR name = "a" }',
)


def check(text: str) -> None:
    """The invariants, of a text as OTQL, as a regular expression, and where it is JSON, as JSON_OTQL."""
    began = time.process_time()
    check_text(text)
    with suppress(QueryError):
        Pattern(text).matches(text)
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        data = None
    if isinstance(data, dict):
        check_json(data)
    assert time.process_time() - began < TIMEOUT_S, "slow"


def check_text(text: str) -> None:
    """Any text is a query or an error with its place, and what is written of it is read as the same."""
    query = _or_error(lambda: otql.parse(text))
    if isinstance(query, QueryError):
        lines = text.split("\n")
        assert 1 <= query.row <= len(lines), "the row is in the text"
        assert 1 <= query.col <= len(lines[query.row - 1]) + 1, "the column is in the row"
        assert query.kind in ("PARSING", "DIRECTIVE")
        return
    written = otql_text.written(query)
    assert otql_text.written(otql.parse(written)) == written, "written and read again"
    check_tree(query)


def check_json(data: dict[str, Any]) -> None:
    """Any JSON object is a query or an error, and what is written of it is read as the same."""
    query = _or_error(lambda: json_otql.read(data))
    if isinstance(query, QueryError):
        assert query.row == query.col == 0
        return
    checked = _or_error(lambda: check_query(query, DEFAULT))
    if isinstance(checked, QueryError):
        return
    written = json_text.written(checked)
    assert json_text.written(check_query(json_otql.read(written), DEFAULT)) == written, "written and read again"
    check_tree(query)


def check_tree(query: Query) -> None:
    """What can be asked can be asked of an activity."""
    checked = _or_error(lambda: check_query(query, DEFAULT))
    if isinstance(checked, QueryError):
        assert checked.kind != "PARSING"
        return
    compiled = compile_checked(checked)
    document = Document(ACTIVITY, now_ms=NOW_MS, person=lambda link: [{"id": link}], user_point="u")
    found = compiled.match(document)
    time_range(checked, DEFAULT, NOW_MS)
    run = Execution(compiled, DEFAULT)
    json.dumps([list(run.feed(document)), run.result()])
    assert not run.matched or found is not None, "what is selected matches"


def _or_error(read: Callable[[], Query]) -> Query | QueryError:
    try:
        return read()
    except QueryError as error:
        return error


def drawn(chance: random.Random) -> str:
    """A query, mutated, or pieces of queries in any order."""
    if chance.random() < 0.3:
        return "".join(chance.choice(PIECES) for _ in range(chance.randrange(1, 25)))
    text = chance.choice(VALID) if chance.random() < 0.7 else json.dumps(as_json(chance))
    for _ in range(chance.randrange(4)):
        at = chance.randrange(len(text) + 1)
        end = min(len(text), at + chance.randrange(8))
        kind = chance.randrange(4)
        if kind == 0:
            text = text[:at] + text[end:]
        elif kind == 1:
            text = text[:at] + chance.choice(PIECES) + text[at:]
        elif kind == 2:
            text = text[:at] + chr(chance.choice([0, 9, 34, 36, 92, 123, 0xE9, 0xD800, 0x1F600])) + text[end:]
        else:
            text = text[:at] + text[at:end] * chance.randrange(2, 60) + text[end:]
    return text


def as_json(chance: random.Random) -> dict[str, Any]:
    """A valid query as JSON_OTQL, with perhaps one value of it replaced."""
    data = json_text.written(check_query(otql.parse(chance.choice(VALID[2:])), DEFAULT))
    if chance.random() < 0.7:
        _replace(chance, data)
    return data


def _replace(chance: random.Random, data: Any) -> None:  # noqa: ANN401 - any JSON value
    keys: Sequence[Any] = list(data) if isinstance(data, dict) else range(len(data))
    if not keys:
        return
    key = chance.choice(keys)
    if isinstance(data[key], dict | list) and chance.random() < 0.8:
        _replace(chance, data[key])
    else:
        data[key] = chance.choice(
            [None, True, 0, 1e400, -1, "", "x", [], {}, [[]], {"type": "GROUP"}, data[key], [data[key]]]
        )


def main(arguments: Sequence[str]) -> int:
    """Fuzz until the time is over; 1 when something was found, which is printed."""
    parser = argparse.ArgumentParser(prog="python -m fuzz.queries")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=None, help="of the mutations; at random when not given")
    given = parser.parse_args(arguments)
    try:
        import atheris
    except ImportError:
        return _at_random(given.seconds, random.randrange(1 << 32) if given.seed is None else given.seed)
    return _guided(atheris, given.seconds)


def _at_random(seconds: float, seed: int) -> int:
    print(f"mutations of valid queries for {seconds:g} s, seed {seed}")
    chance = random.Random(seed)
    end = time.monotonic() + seconds
    number = 0
    while time.monotonic() < end:
        text = drawn(chance)[:MAX_INPUT_CHARS]
        try:
            check(text)
        except Exception:
            print(f"found after {number} inputs:\n{text!r}")
            raise
        number += 1
    print(f"{number} inputs, nothing found")
    return 0


def _guided(atheris: ModuleType, seconds: float) -> int:
    def one(data: bytes) -> None:
        check(data.decode("utf-8", "surrogateescape"))

    with TemporaryDirectory() as corpus:
        for number in range(300):
            text = drawn(random.Random(number))
            (Path(corpus) / str(number)).write_bytes(text.encode("utf-8", "surrogatepass"))
        atheris.instrument_all()
        options = [f"-max_total_time={int(seconds)}", f"-max_len={MAX_INPUT_CHARS}", corpus]
        atheris.Setup([sys.argv[0], *options], one)
        atheris.Fuzz()  # Ends the process.
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
