"""Each row of mediarithmics 7.5 is a case, in both languages, with what it means."""

from typing import Any

import pytest

from engine.query import json_otql, json_text, otql, otql_text
from engine.query.ast import Query
from engine.query.check import check
from engine.query.compile import compile_query
from engine.query.default_schema import DEFAULT
from engine.query.document import Document
from engine.query.errors import QueryError

NOW_MS = 1_700_000_000_000  # 2023-11-14T22:13:20Z
DAY_MS = 86_400_000


def event(**properties: Any) -> dict[str, Any]:
    return {"$ts": NOW_MS - 1000, "$event_name": "seen", "$properties": properties}


def activity(*events: dict[str, Any], **fields: Any) -> Document:
    root = {"$ts": NOW_MS - 1000, "$type": "SITE_VISIT", "$site_id": "1", "$events": list(events)}
    return Document({**root, **fields}, now_ms=NOW_MS)


def holds(query: str | dict[str, Any], document: Document) -> bool:
    return compile_query(query).match(document) is not None


def field(name: str, kind: str, operator: str, *values: Any) -> dict[str, Any]:
    return {"type": "FIELD", "field": name, "comparison": {"type": kind, "operator": operator, "values": list(values)}}


def from_events(*expressions: dict[str, Any], **fields: Any) -> dict[str, Any]:
    where = {"type": "OBJECT", "field": "events", "boolean_operator": "AND", "expressions": list(expressions), **fields}
    return {"from": "UserActivity", "where": where}


def text_of(data: dict[str, Any]) -> str:
    return otql_text.written(Query(where=json_otql.read(data).where))


def both(node: dict[str, Any], text: str, document: Document, *, expected: bool) -> None:
    """A comparison on an event, as JSON and as text: they say the same, and are each written as the other."""
    data = from_events(node)
    assert text_of(data) == f"events {{ {text} }}"
    assert json_text.written(check(otql.parse(f"events {{ {text} }}"), DEFAULT)) == data
    assert holds(data, document) is expected
    assert holds(f"events {{ {text} }}", document) is expected


STRINGS = {
    "EQ": ("=", ["shoe"], ["shoes", "Shoe", ""]),
    "NOT_EQ": ("!=", ["shoes", "Shoe", None], ["shoe"]),
    "MATCHES": ("MATCHES", ["shoe"], ["a shoe", "shoes"]),
    "DOES_NOT_MATCH": ("DOES_NOT_MATCH", ["a shoe", "shoes", None], ["shoe"]),
    "STARTS_WITH": ("STARTS_WITH", ["shoe", "shoes"], ["a shoe", "Shoe", None]),
    "DOES_NOT_START_WITH": ("DOES_NOT_START_WITH", ["a shoe", None], ["shoe", "shoes"]),
    "CONTAINS": ("CONTAINS", ["a shoe!", "shoe"], ["shOe", None]),
    "DOES_NOT_CONTAIN": ("DOES_NOT_CONTAIN", ["shOe", None], ["a shoe!"]),
}


@pytest.mark.parametrize("operator", STRINGS)
def test_7_5_string_operators(operator: str):
    symbol, fitting, others = STRINGS[operator]
    for value in fitting + others:
        document = activity(event(what=value))
        node = field("properties.what", "STRING", operator, "shoe")
        both(node, f'properties.what {symbol} "shoe"', document, expected=value in fitting)


TIMES = {"BEFORE": "<", "BEFORE_OR_EQUAL": "<=", "AFTER": ">", "AFTER_OR_EQUAL": ">="}


@pytest.mark.parametrize("kind", ["TIME", "TIME_INTERVAL"])
@pytest.mark.parametrize("operator", TIMES)
def test_7_5_time_operators(operator: str, kind: str):
    moment = "2023-11-14T22:00:00Z"
    at_ms = NOW_MS - 800_000
    for shift_ms in (-1, 0, 1):
        document = activity({"$ts": at_ms + shift_ms, "$event_name": "seen"})
        expected = {"<": shift_ms < 0, "<=": shift_ms <= 0, ">": shift_ms > 0, ">=": shift_ms >= 0}[TIMES[operator]]
        data = from_events(field("ts", kind, operator, moment))
        assert holds(data, document) is expected
        assert holds(from_events(field("ts", kind, operator, at_ms)), document) is expected
        if kind == "TIME":
            both(field("ts", kind, operator, moment), f'ts {TIMES[operator]} "{moment}"', document, expected=expected)


NUMBERS = {"EQUAL": "=", "NOT_EQUAL": "!=", "LT": "<", "LTE": "<=", "GT": ">", "GTE": ">="}


@pytest.mark.parametrize("kind", ["NUMERIC", "NUMERIC_INTERVAL"])
@pytest.mark.parametrize("operator", NUMBERS)
def test_7_5_numeric_operators(operator: str, kind: str):
    for value in (9, 10, 11, "9.5", "10", "10.0", 10.0):
        number = float(value)
        expected = {
            "=": number == 10,
            "!=": number != 10,
            "<": number < 10,
            "<=": number <= 10,
            ">": number > 10,
            ">=": number >= 10,
        }[NUMBERS[operator]]
        document = activity(event(**{"$items": [{"$price": value}]}))
        node = field("$properties.$items.$price", kind, operator, 10)
        assert holds(from_events(node), document) is expected
        if kind == "NUMERIC":
            both(node, f"$properties.$items.$price {NUMBERS[operator]} 10", document, expected=expected)


@pytest.mark.parametrize(("operator", "symbol"), [("EQUAL", "="), ("NOT_EQUAL", "!=")])
def test_7_5_boolean_operators(operator: str, symbol: str):
    for value, is_true in ((True, True), (False, False), ("true", True), ("FALSE", False)):
        document = activity(event(**{"$choice_acceptance_value": value}))
        node = field("properties.$choice_acceptance_value", "BOOLEAN", operator, True)
        expected = is_true is (symbol == "=")
        both(node, f"properties.$choice_acceptance_value {symbol} true", document, expected=expected)


@pytest.mark.parametrize(("operator", "symbol"), [("EQUAL", "="), ("NOT_EQUAL", "!=")])
def test_7_5_enum_operators(operator: str, symbol: str):
    for kind in ("SITE_VISIT", "TOUCH"):
        document = activity(event(), **{"$type": kind})
        node = field("activity_type", "ENUM", operator, "TOUCH")
        both(node, f'activity_type {symbol} "TOUCH"', document, expected=(kind == "TOUCH") is (symbol == "="))


@pytest.mark.parametrize(("operator", "symbol"), [("EQ", "IN"), ("NOT_EQ", "NOT IN"), ("STARTS_WITH", "STARTS_WITH")])
def test_7_5_several_values_match_at_least_one(operator: str, symbol: str):
    for value in ("a", "b", "bc", "c"):
        fits = {"IN": value in ("a", "b"), "NOT IN": value not in ("a", "b"), "STARTS_WITH": value != "c"}[symbol]
        node = field("properties.what", "STRING", operator, "a", "b")
        both(node, f'properties.what {symbol} ["a", "b"]', activity(event(what=value)), expected=fits)


@pytest.mark.parametrize(("existence", "text"), [("EXISTS", "IS NOT NULL"), ("DOES_NOT_EXIST", "IS NULL")])
def test_7_5_existence(existence: str, text: str):
    node = {"type": "FIELD", "field": "properties.what", "existence": existence}
    for value, there in (("x", True), (0, True), (False, True), ({"a": 1}, True), (None, False), ([], False)):
        expected = there is (existence == "EXISTS")
        both(node, f"properties.what {text}", activity(event(what=value)), expected=expected)
    both(node, f"properties.what {text}", activity(event()), expected=existence == "DOES_NOT_EXIST")


@pytest.mark.parametrize(
    ("node", "text"),
    [
        ({"type": "GROUP", "boolean_operator": "AND", "expressions": []}, "()"),
        (
            {
                "type": "GROUP",
                "boolean_operator": "OR",
                "expressions": [field("name", "STRING", "EQ", n) for n in "ab"],
            },
            '(name = "a" OR name = "b")',
        ),
        (
            {
                "type": "GROUP",
                "boolean_operator": "AND",
                "expressions": [field("name", "STRING", "EQ", "a")],
                "negation": True,
            },
            'NOT (name = "a")',
        ),
        (
            {"type": "OBJECT", "field": "items", "boolean_operator": "AND", "expressions": [], "negation": True},
            "NOT items {}",
        ),
        (
            {
                "type": "OBJECT",
                "field": "items",
                "boolean_operator": "OR",
                "expressions": [field("price", "NUMERIC", "GT", 1), field("name", "STRING", "EQ", "x")],
                "min_score": 3,
                "score_function": "SUM",
                "score_field": "price",
            },
            'items @ScoreField(name: "price") @ScoreSum(min: 3) { price > 1 OR name = "x" }',
        ),
        *(
            (
                {
                    "type": "OBJECT",
                    "field": "items",
                    "boolean_operator": "AND",
                    "expressions": [],
                    "score_function": function,
                },
                f"items @{name} {{}}",
            )
            for function, name in {
                "SUM": "ScoreSum",
                "AVERAGE": "ScoreAverage",
                "MIN": "ScoreMin",
                "MAX": "ScoreMax",
            }.items()
        ),
    ],
)
def test_7_5_nodes(node: dict[str, Any], text: str):
    data = from_events(node)
    # Of one expression in braces, its own parentheses are part of the tree.
    assert text_of(data) == f"events {{ {text} }}"
    assert json_text.written(check(otql.parse(f"events {{ {text} }}"), DEFAULT)) == data


def test_7_5_taxonomy_object_is_refused_with_a_reason():
    node = {"type": "TAXONOMY_OBJECT", "field": "category", "expressions": []}
    with pytest.raises(QueryError, match="taxonomy") as caught:
        compile_query({"from": "UserPoint", "where": node}, path="goals[1].query")
    assert caught.value.path == "goals[1].query.where"


# -- scores


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("events @ScoreSum(min: 3) {}", True),
        ("events @ScoreSum(min: 4) {}", False),
        ('events @ScoreSum(min: 2) { name = "seen" AND properties.n > 1 }', True),
        ('events @ScoreSum(min: 3) { name = "seen" OR name STARTS_WITH "s" }', True),
        ('events @ScoreSum(min: 4) { name = "seen" OR name STARTS_WITH "s" }', False),
        ('events @ScoreField(name: "properties.n") @ScoreSum(min: 6) {}', True),
        ('events @ScoreField(name: "properties.n") @ScoreSum(min: 7) {}', False),
        ('events @ScoreField(name: "properties.n") @ScoreAverage(min: 2) {}', True),
        ('events @ScoreField(name: "properties.n") @ScoreAverage(min: 2.1) {}', False),
        ('events @ScoreField(name: "properties.n") @ScoreMin(min: 1) {}', True),
        ('events @ScoreField(name: "properties.n") @ScoreMin(min: 2) {}', False),
        ('events @ScoreField(name: "properties.n") @ScoreMax(min: 3) {}', True),
        ('events @ScoreField(name: "properties.n") @ScoreMax(min: 4) {}', False),
        ("NOT events @ScoreSum(min: 4) {}", True),
        ("NOT events @ScoreSum(min: 3) {}", False),
        # The score of what is behind goes through an object without a function of its own.
        ('events @ScoreSum(min: 30) { items @ScoreField(name: "price") @ScoreSum(result: "score_value") {} }', True),
        ('events @ScoreSum(min: 31) { items @ScoreField(name: "price") @ScoreSum {} }', False),
    ],
)
def test_7_5_min_score_and_score_functions(query: str, expected: bool):
    document = activity(*(event(n=n, **{"$items": [{"$price": "4"}, {"$price": 6}]}) for n in (1, 2, 3)))
    assert holds(query, document) is expected


# -- what the page shows


@pytest.mark.parametrize(
    ("days", "expected"), [(0, False), (6, False), (6.9, False), (7, True), (7.9, True), (8, False)]
)
def test_7_5_the_sample_of_the_page(days: float, expected: bool):
    query = """
        # Counts the transactions of a site seven days ago.
        SELECT @count{} FROM UserEvent
        WHERE name = "$transaction_confirmed" AND date = "now-7d/d" AND channel_id = 2419
    """
    midnight = NOW_MS - NOW_MS % DAY_MS + DAY_MS - 1
    sent = {"$ts": int(midnight - days * DAY_MS), "$event_name": "$transaction_confirmed"}
    assert holds(query, activity(sent, **{"$site_id": "2419"})) is expected
    assert not holds(query, activity(sent, **{"$site_id": "2420"}))
    assert holds(query, activity(sent, **{"$site_id": None, "$app_id": 2419})) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('name = "x" OR name = "seen" AND channel_id = 2', False),
        ('name = "seen" OR name = "x" AND channel_id = 2', True),
        ('(name = "seen" OR name = "x") AND channel_id = 2', False),
        ('NOT name = "x" AND channel_id = 1', True),
        ('NOT (name = "x" OR channel_id = 1)', False),
        ('NOT NOT name = "seen"', True),
        ('not name = "x" and Channel_id is null or false_ = 1', None),
    ],
)
def test_7_5_operators_bind_as_in_boolean_logic(text: str, expected: bool | None):
    if expected is None:
        with pytest.raises(QueryError):
            compile_query(text)
    else:
        assert holds(text, activity(event())) is expected


# -- 7.6


@pytest.mark.parametrize(
    "text",
    [
        'nature = "seen"',
        'name = "seen"',
        '$event_name = "seen"',
        "channel_id = 1",
        'channel_id = "1"',
        'properties.colour = "red"',
        'properties { colour = "red" }',
        '$properties { colour = "red" AND $items { $price = 5 } }',
        'properties.`odd-key` = "x"',
        'properties.list = "b"',
        "properties.nested.deep = 7",
        "items { price = 5 AND qty = 1 }",
        "products { price = 5 }",
        'events { name = "seen" }',
        '$events { name = "seen" }',
        "$custom.shop = 12",
        'origin { source = "news" AND $campaign_id = 5 }',
        'origin.source = "news"',
        'location.country = "FR"',
        'identifiers { type = "USER_AGENT" AND user_agent_id STARTS_WITH "vec:" }',
        'site_id = 1 AND type = "SITE_VISIT"',
        'SELECT { id } FROM UserPoint WHERE activities { type = "SITE_VISIT" AND events { name = "seen" } }',
        'SELECT { id } FROM UserPoint WHERE events { name = "seen" } AND activity_events { nature = "seen" }',
        'SELECT { id } FROM UserPoint WHERE segments { id = "9" } AND profiles { gender = "W" }',
    ],
)
def test_7_6_fields_go_by_their_names_and_by_aliases(text: str):
    known = {"segments": [{"$id": 9}], "profiles": [{"gender": "W", "$compartment_id": "1"}]}
    found = event(
        colour="red",
        list=["a", "b"],
        nested={"deep": 7},
        **{"odd-key": "x", "$items": [{"$price": 5, "$qty": "1"}, {"$price": 6}]},
    )
    fields = {
        "shop": 12,
        "$origin": {"$source": "news", "$campaign_id": "5"},
        "$location": {"$country": "FR"},
        "$user_identifiers": [{"$type": "USER_AGENT", "$user_agent_id": "vec:1"}],
    }
    plain = activity(found, **fields)
    assert holds(text, Document(plain.activity, now_ms=NOW_MS, person=lambda link: known.get(link, ())))


def test_7_6_conditions_in_one_object_bind_to_the_same_object():
    document = activity(event(**{"$items": [{"$price": 5, "$qty": 1}, {"$price": 6, "$qty": 2}]}))
    assert holds("items { price = 5 AND qty = 1 }", document)
    assert not holds("items { price = 5 AND qty = 2 }", document)
    assert holds("items { price = 5 } AND items { qty = 2 }", document)


# -- 1.2 and 8.1


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("$ts", NOW_MS, f"$ts = {NOW_MS}"),
        ("$type", "APP_VISIT", '$type = "APP_VISIT"'),
        ("$session_status", "NO_SESSION", '$session_status = "NO_SESSION"'),
        ("$ttl", 60, "$ttl >= 60"),
        ("$user_agent_id", "vec:1", '$user_agent_id STARTS_WITH "vec:"'),
        ("$user_account_id", "42", '$user_account_id = "42"'),
        ("$compartment_id", 1000, '$compartment_id = "1000"'),
        ("$email_hash", {"$hash": "ab"}, '$email_hash { $hash = "ab" }'),
        ("$user_identifiers", [{"$type": "USER_EMAIL", "$hash": "ab"}], '$user_identifiers { $hash = "ab" }'),
        ("$origin", {"$channel": "cpc"}, '$origin { $channel = "cpc" }'),
        ("$location", {"$city": "Paris"}, '$location { $city = "Paris" }'),
        ("$events", [{"$ts": 1, "$event_name": "x"}], '$events { $event_name = "x" }'),
        ("$unique_key", "6f1e", '$unique_key = "6f1e"'),
        ("$error_analyzer_id", 12, "$error_analyzer_id = 12"),
        ("$site_id", "1268", '$site_id = "1268" AND channel_id = 1268'),
        ("$app_id", "9", "$app_id = 9"),
        ("$session_duration", 30, "$session_duration < 31"),
        ("$topics", {"a": {"b": 0.5}}, "$topics { a { b > 0.4 } }"),
        ("$scenario_id", 7, "$scenario_id = 7"),
        ("own", {"deep": [1, 2]}, "$custom.own.deep = 2"),
    ],
)
def test_1_2_every_field_of_an_activity_can_be_asked(name: str, value: Any, text: str):
    assert holds(text, activity(**{name: value}))
    assert not holds(text, activity(**{name: None}))


@pytest.mark.parametrize("root", ["UserPoint", "UserActivity"])
@pytest.mark.parametrize("name", ["nature", "name"])
@pytest.mark.parametrize(
    ("operator", "colour", "expected"), [("AND", "red", True), ("AND", "blue", False), ("OR", "blue", True)]
)
def test_8_1_the_query_that_automations_store(root: str, name: str, operator: str, colour: str, expected: bool):
    query = {
        "from": root,
        "operations": [{"directives": [], "selections": [{"name": "id"}]}],
        "where": {
            "type": "OBJECT",
            "field": "activity_events" if root == "UserPoint" else "events",
            "boolean_operator": operator,
            "expressions": [
                field(name, "STRING", "EQ", "$basket_view", "seen"),
                field("properties.colour", "STRING", "EQ", colour),
            ],
        },
    }
    other = {"$ts": NOW_MS, "$event_name": "other", "$properties": {"colour": "green"}}
    found = compile_query(query).match(activity(other, event(colour="red")))
    assert (found is not None) is expected
    assert found is None or found.event == 1
