"""What is handed in is read whole or refused with all its faults, each with its path and what is allowed."""

import json
import tomllib
from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.declared import DatamartDefinition, Declared, Goal, UrlMatch
from engine.definitions.kinds import DEFINED
from engine.definitions.reading import definitions_reference, read_declared, tables_of_source
from engine.errors import BadDefinition
from tests.definitions.files import FULL, declared, full, small, tables


def faults(source) -> dict[str, str]:
    with pytest.raises(BadDefinition) as refused:
        read_declared(source)
    assert refused.value.path == refused.value.faults[0][0]
    return dict(refused.value.faults)


def test_the_full_file_has_one_of_every_kind():
    first, second = full().datamarts
    for kind in DEFINED:
        assert getattr(first, kind.field), kind.name
    assert {rule.id for rule in first.event_rules} == {"search", "keywords", "mail", "items"}
    assert first.schema.fields[0].name == "color"
    assert [channel.key for channel in first.channels] == ["site:1", "app:1"]
    assert second.channels is None
    assert second == DatamartDefinition(id=2, name="Another")


def test_toml_json_tables_and_structs_say_the_same():
    text = FULL.read_text().replace('products_file = "products.ndjson"', "")
    wanted = read_declared(text)
    data = tomllib.loads(text)
    assert read_declared(text.encode()) == wanted
    assert read_declared(msgspec.json.encode(data)) == wanted
    assert read_declared(" \n" + msgspec.json.encode(data).decode()) == wanted
    assert read_declared(data) == wanted
    assert read_declared(wanted) == wanted
    assert read_declared("") == read_declared("{}") == Declared()


def test_a_struct_that_a_program_has_built_is_checked_as_well():
    bad = Declared(datamarts=(DatamartDefinition(id=1, goals=(Goal(id="with blank"),)),))
    assert list(faults(bad)) == ["datamart[0].goal[0].id"]


CASES = [
    # text, path, told
    ("nam = 'x'", "nam", "unknown key; did you mean name?"),
    ("name = 3", "name", "got `int`; allowed: text of at most 255"),
    ("[[datamart.gaol]]\nid = 'x'", "gaol", "did you mean goal?"),
    ("goal = 3", "goal", "got `int`"),
    ("goal = [3]", "goal[0]", "got `int`"),
    ("[[datamart.channel]]\nid = 'a b'", "channel[0].id", "allowed: text of at most 64"),
    ("[[datamart.channel]]\nid = 'a'\ngap_ms = 0", "channel[0].gap_ms", "from 1 to 86_400_000"),
    ("[[datamart.channel]]\nid = 'a'\nanalyzers = 'x'", "channel[0].analyzers", "allowed: a list"),
    ("[[datamart.channel]]\nid = 'a'\ntracker_key = 'x'", "channel[0].tracker_key", "at most 47"),
    ("[[datamart.channel]]\nkind = 'SITE'", "channel[0]", "missing required field `id`"),
    ("[[datamart.compartment]]\nid = ''", "compartment[0].id", "allowed: text"),
    ("[[datamart.catalog]]\nid = 'c'\n[[datamart.catalog.product]]\nurl = 'x'", "catalog[0].product[0]", "`id`"),
    (
        "[[datamart.catalog]]\nid = 'c'\n[[datamart.catalog.product]]\nid = 'x'\nurl = 'x'\nprize = 3",
        "catalog[0].product[0].prize",
        "did you mean price?",
    ),
    ("[[datamart.campaign]]\nid = 'c'", "campaign[0]", "technical_name"),
    ("[[datamart.event_rule]]\nid = 'r'", "event_rule[0]", "`type`"),
    ("[[datamart.event_rule]]\nid = 'r'\ntype = 'URL'", "event_rule[0].type", '"URL_MATCH"'),
    ("[[datamart.event_rule]]\nid = 'r'\ntype = 'URL_MATCH'\npatern = 'x'", "event_rule[0].patern", "pattern?"),
    (
        "[[datamart.event_rule]]\nid = 'r'\ntype = 'URL_MATCH'\npattern = 'x'\nevent_template = { name = 'x' }",
        "event_rule[0].event_template.name",
        "known are $event_name",
    ),
    (
        "[[datamart.event_rule]]\nid = 'r'\ntype = 'USER_IDENTIFIER_INSERTION'\nproperty_source = 'x'\n"
        "hash_function = 'SHA'",
        "event_rule[0].hash_function",
        '"SHA_256"',
    ),
    ("[[datamart.analyzer]]\nid = 'a'\nurl = 'http://x'\ntimeout_ms = 0", "analyzer[0].timeout_ms", "from 1 to"),
    ("[[datamart.query]]\nid = 'q'", "query[0]", "`query`"),
    ("[[datamart.query]]\nid = 'q'\nquery = 3", "query[0].query", "allowed: text or a table"),
    ("[[datamart.goal]]\nid = 'g'\npost_view_window_ms = -1", "goal[0].post_view_window_ms", "from 0 to"),
    ("[[datamart.goal]]\nid = 'g'\ndefault_goal_value = 'x'", "goal[0].default_goal_value", "allowed: a number"),
    ("[[datamart.automation]]\nid = 'a'", "automation[0]", "missing required field"),
    (
        "[[datamart.automation]]\nid = 'a'\ntrigger = 't'\nbegin = 'b'\n"
        "[[datamart.automation.node]]\nid = 'b'\ntype = 'WAIT_NODE'\ndelay_ms = 'x'",
        "automation[0].node[0].delay_ms",
        "a whole number from 0",
    ),
    (
        "[[datamart.automation]]\nid = 'a'\ntrigger = 't'\nbegin = 'b'\n"
        "[[datamart.automation.node]]\nid = 'b'\ntype = 'WAIT'",
        "automation[0].node[0].type",
        '"WAIT_NODE"',
    ),
    (
        "[[datamart.automation]]\nid = 'a'\ntrigger = 't'\nbegin = 'b'\n"
        "[[datamart.automation.node]]\nid = 'b'\ntype = 'WAIT_NODE'\ndelay = 3",
        "automation[0].node[0].delay",
        "delay_ms?",
    ),
    ("[[datamart.segment]]\nid = 's'\nexpires_ms = 0", "segment[0].expires_ms", "from 1 to"),
    ("[[datamart.processing]]\nid = 'p'\nlegal_basis = 'x'", "processing[0].legal_basis", '"CONSENT"'),
    ("[[datamart.destination]]\nid = 'd'", "destination[0]", "`url`"),
    ("[[datamart.destination]]\nid = 'd'\nurl = 'ftp://x'", "destination[0]", "http"),
    ("[datamart.schema]\nfeld = 3", "schema.feld", "did you mean field?"),
    ("[[datamart.goal]]\nid = 'g'\nquery = { at = 2026-01-01 }", "goal[0].query.at", "quotation marks"),
    ("[[datamart.goal]]\nid = 'g'\ndefault_goal_value = nan", "goal[0].default_goal_value", "no number"),
]


@pytest.mark.parametrize(("text", "path", "told"), CASES, ids=[case[1] for case in CASES])
def test_a_mistake_is_named_with_its_place_and_what_is_allowed(text: str, path: str, told: str):
    found = faults(f"[[datamart]]\nid = 1\n{text}")
    assert list(found) == [f"datamart[0].{path}"]
    assert told in found[f"datamart[0].{path}"]


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("[[datamart]\n", "not a TOML file"),
        ("{", "not TOML and not JSON"),
        (b"\xff", "not TOML and not JSON"),
        ("{" * 5, "not TOML and not JSON"),
        ('{"datamart": ' + "[" * 100_000, "nested"),
        ({"datamart": [{"id": 1, "name": object()}]}, "no plain values"),
    ],
    ids=["toml", "json", "utf8", "braces", "deep", "object"],
)
def test_what_cannot_be_read_at_all_is_refused(source, told: str):
    with pytest.raises(BadDefinition) as refused:
        read_declared(source)
    assert told in str(refused.value)


def test_faults_of_the_whole_have_their_places_too():
    assert list(faults("datmart = 3")) == ["datmart"]
    assert list(faults("datamart = 3")) == ["datamart"]
    assert list(faults("datamart = [3]")) == ["datamart[0]"]
    assert list(faults("[[datamart]]\nname = 'x'")) == ["datamart[0]"]
    assert list(faults("[[datamart]]\nid = 0")) == ["datamart[0].id"]


def test_all_faults_are_named_at_once():
    source = small("nam = 1\n[[datamart.goal]]\nid = ''\n[[datamart.segment]]\nid = 's'\nexpires = 1")
    source["datamart"].append({"id": "x"})
    source["more"] = 1
    assert sorted(faults(source)) == [
        "datamart[0].goal[0].id",
        "datamart[0].nam",
        "datamart[0].segment[0].expires",
        "datamart[1].id",
        "more",
    ]


def test_too_many_of_a_kind_are_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("engine.definitions.reading.MAX_DEFINITIONS", 2)
    goals = [{"id": str(number)} for number in range(3)]
    assert faults(small(goal=goals)) == {"datamart[0].goal": "3 definitions, the bound is 2"}


def test_the_reference_can_be_read_and_names_every_key():
    text = definitions_reference()
    assert read_declared(text) == Declared(datamarts=(DatamartDefinition(id=1),))
    assert max(map(len, text.splitlines())) <= 120
    for kind in DEFINED:
        assert f"# [[datamart.{kind.name}]]" in text
    for one in ("automation.node", "catalog.product", "campaign.creative", "schema.field", "analyzer.property"):
        assert f"[[datamart.{one}]]" in text
    for tag in ("URL_MATCH", "CATALOG_AUTO_MATCH", "WAIT_NODE", "WEBHOOK_NODE"):
        assert f'# type = "{tag}"' in text


def test_the_reference_is_a_file_when_the_hash_signs_go():
    """What is commented out is TOML: each key with its default, or nothing behind the sign where it has none."""
    kept = []
    for line in definitions_reference().splitlines():
        code = line.removeprefix("# ")
        if code.endswith(" ="):
            continue
        if line.startswith("# ") and (code.startswith("[[") or (" = " in code and code.split(" = ")[0].isidentifier())):
            kept.append(code)
        elif not line.startswith("#"):
            kept.append(line)
    found = tomllib.loads("\n".join(kept))
    assert found["datamart"][0]["destination"][0]["max_calls"] == 8


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text() | st.floats(),
        lambda below: (
            st.lists(below, max_size=3)
            | st.dictionaries(st.sampled_from(["id", "goal", "query", "type", "datamart"]), below)
        ),
    )
)
def test_anything_is_read_or_refused_and_no_other_error(value):
    for source in ({"datamart": [value]}, {"datamart": [{"id": 1, "event_rule": [value], "automation": [value]}]}):
        with suppress(BadDefinition):
            read_declared(source)


def test_what_is_read_reads_back():
    assert read_declared(full()) == full()
    assert declared("[[datamart.goal]]\nid = 'g'").datamarts[0].goals == (Goal(id="g"),)
    rule = full().datamarts[0].event_rules[0]
    assert isinstance(rule, UrlMatch)
    assert tables()["datamart"][0]["catalog"][0]["product"][1]["extra"] == {"colour": "red"}


@pytest.mark.parametrize("kind", ["toml", "tables"])
@pytest.mark.parametrize(("levels", "is_good"), [(20, True), (57, True), (58, False), (300, False)])
def test_what_is_nested_deeper_than_json_may_be_is_refused(kind, levels, is_good):
    value = "[" * levels + "]" * levels
    text = (
        "[[datamart]]\nid = 1\n[[datamart.catalog]]\nid = 'c'\n"
        f"[[datamart.catalog.product]]\nid = '1'\nurl = 'http://x.test/1'\nx = {value}\n"
    )
    source = text if kind == "toml" else tomllib.loads(text)
    if is_good:
        tables = tables_of_source(source)
        assert tables_of_source(json.dumps(tables)) == tables, "JSON may say the same"
        return
    with pytest.raises(BadDefinition) as error:
        tables_of_source(source)
    ((path, told),) = error.value.faults
    assert path.startswith("datamart[0].catalog[0].product[0].x[0]")
    assert "deeper than 64" in told
