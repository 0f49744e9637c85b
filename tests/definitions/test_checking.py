"""Ids are unique and references lead somewhere: every one that does not is told with its path."""

import pytest

from engine.definitions.checking import faults_of
from engine.definitions.reading import read_declared
from tests.definitions.files import declared, full, small, tables

CHANNEL = "[[datamart.channel]]\nid = '1'\n"
QUERY = "[[datamart.query]]\nid = 'q'\nquery = 'x'\n"
AUTOMATION = "[[datamart.automation]]\nid = 'a'\ntrigger = 'x'\nbegin = 'n'\n"
NODE = "[[datamart.automation.node]]\nid = 'n'\n"
RULE = "[[datamart.event_rule]]\nid = 'r'\ntype = 'CATALOG_AUTO_MATCH'\n"

CASES = [
    # text below [[datamart]], path, told
    (CHANNEL + CHANNEL, "channel[1].id", "channel[0] has the same: site:1"),
    ("[[datamart.compartment]]\nid = 'c'\n" * 2, "compartment[1].id", "compartment[0]"),
    ("[[datamart.catalog]]\nid = 'c'\n" * 2, "catalog[1].id", "catalog[0]"),
    ("[[datamart.campaign]]\nid = 'c'\ntechnical_name = 't'\n" * 2, "campaign[1].id", "campaign[0]"),
    (RULE + RULE, "event_rule[1].id", "event_rule[0]"),
    ("[[datamart.analyzer]]\nid = 'c'\nurl = 'http://x'\n" * 2, "analyzer[1].id", "analyzer[0]"),
    (QUERY + QUERY, "query[1].id", "query[0]"),
    ("[[datamart.goal]]\nid = 'g'\n" * 2, "goal[1].id", "goal[0]"),
    (AUTOMATION + AUTOMATION, "automation[1].id", "automation[0]"),
    ("[[datamart.segment]]\nid = 's'\n" * 2, "segment[1].id", "segment[0]"),
    ("[[datamart.processing]]\nid = 'p'\n" * 2, "processing[1].id", "processing[0]"),
    ("[[datamart.destination]]\nid = 'd'\nurl = 'http://x'\n" * 2, "destination[1].id", "destination[0]"),
    (
        "".join(f"[[datamart.goal]]\nid = '{name}'\ntechnical_name = 't'\n" for name in "ab"),
        "goal[1].technical_name",
        "goal[0] has the same: t",
    ),
    (
        "".join(f"[[datamart.segment]]\nid = '{name}'\ntechnical_name = 't'\n" for name in "ab"),
        "segment[1].technical_name",
        "segment[0]",
    ),
    (
        "".join(f"[[datamart.processing]]\nid = '{name}'\ntoken = 't'\n" for name in "ab"),
        "processing[1].token",
        "processing[0]",
    ),
    (CHANNEL + "analyzers = ['x']", "channel[0].analyzers[0]", "there is no analyzer x"),
    (CHANNEL + "processings = ['x']", "channel[0].processings[0]", "there is no processing x"),
    (
        CHANNEL + "processings = ['p', 'p']\n[[datamart.processing]]\nid = 'p'\n",
        "channel[0].processings[1]",
        "attached twice",
    ),
    (RULE + "channel = 'site:2'", "event_rule[0].channel", "there is no channel site:2; there are app:9"),
    (CHANNEL + RULE + "channel = 'app:9'", "event_rule[0].channel", "there are site:1"),
    (RULE + "catalog = 'x'", "event_rule[0].catalog", "there is no catalog x"),
    ("[[datamart.query]]\nid = 'q'\nquery = '@p'", "query[0].query", "there is no query p"),
    ("[[datamart.goal]]\nid = 'g'\nquery = '@p'", "goal[0].query", "there is no query p"),
    (AUTOMATION.replace("'x'", "'@p'"), "automation[0].trigger", "there is no query p"),
    (
        AUTOMATION + "[[datamart.automation.exit_condition]]\nid = 'e'\nquery = '@p'",
        "automation[0].exit_condition[0].query",
        "there is no query p",
    ),
    (AUTOMATION + NODE + "type = 'IF_NODE'\nquery = '@p'", "automation[0].node[0].query", "there is no query p"),
    (
        AUTOMATION + NODE + "type = 'ADD_TO_SEGMENT_NODE'\nsegment = 's'",
        "automation[0].node[0].segment",
        "there is no segment s",
    ),
    (
        AUTOMATION + NODE + "type = 'DELETE_FROM_SEGMENT_NODE'\nsegment = 's'",
        "automation[0].node[0].segment",
        "there is no segment s",
    ),
    (
        AUTOMATION + NODE + "type = 'WEBHOOK_NODE'\ndestination = 'd'",
        "automation[0].node[0].destination",
        "there is no destination d",
    ),
    (
        AUTOMATION + NODE + "type = 'CUSTOM_ACTION_NODE'\ndestination = 'd'\ncustom_action_id = '1'",
        "automation[0].node[0].destination",
        "there is no destination d",
    ),
    ("[[datamart.catalog]]\nid = 'c'\nproducts_file = 'x.csv'", "catalog[0].products_file", "sojourn apply"),
    (
        "[[datamart.destination]]\nid = 'd'\nurl = 'http://x'\nsecret = '***'",
        "destination[0].secret",
        "in place of a secret",
    ),
    (
        "[[datamart.destination]]\nid = 'd'\nurl = 'http://x'\nheaders = { authorization = '***' }",
        "destination[0].headers",
        "in place of a secret",
    ),
    (
        "".join(
            f"[[datamart.analyzer]]\nid = '{id}'\nurl = 'http://x'\nworker_id = 'w'\ntoken = '{token}'\n"
            for id, token in ("at", "bt", "cu")
        ),
        "analyzer[2].token",
        "worker w has another token in datamart[0].analyzer[0]",
    ),
    ("token = 't'\n" + CHANNEL + "token = 't'", "channel[0].token", "datamart[0].token is the same"),
]


def found(one) -> dict[str, str]:
    return dict(faults_of(one, lambda datamart: ["app:9"]))


@pytest.mark.parametrize(("text", "path", "told"), CASES, ids=[case[1] for case in CASES])
def test_what_does_not_hold_together_is_told(text: str, path: str, told: str):
    told_of = found(declared(text))
    assert list(told_of) == [f"datamart[0].{path}"]
    assert told in told_of[f"datamart[0].{path}"]


def test_the_full_file_holds_together():
    assert found(full()) == {}


def test_tokens_and_tracker_keys_are_one_of_their_own_over_all_datamarts():
    key = "5c6b1c6e-6a55-4b7c-9a15-0d8f0f3a9d11"
    source = small(CHANNEL + f"token = 'a'\ntracker_key = '{key}'\n[[datamart.compartment]]\nid = 'c'\ntoken = 'b'")
    other = small(CHANNEL + f"token = 'b'\ntracker_key = '{key.upper()}'", token="a")["datamart"][0] | {"id": 2}
    source["datamart"].append(other)
    assert found(read_declared(source)) == {
        f"datamart[1].{place}": f"datamart[0].{other} is the same: each needs one of its own"
        for place, other in [
            ("token", "channel[0].token"),
            ("channel[0].token", "compartment[0].token"),
            ("channel[0].tracker_key", "channel[0].tracker_key"),
        ]
    }


def test_a_datamart_is_declared_once():
    source = tables()
    source["datamart"].append({"id": 2})
    assert found(read_declared(source)) == {"datamart[2].id": "datamart 2 is declared already, as datamart[1]"}


def test_channels_of_the_settings_count_where_the_file_says_nothing_of_channels():
    rule = RULE + "channel = 'app:9'"
    assert found(declared(rule)) == {}
    assert list(found(declared(rule, channel=[]))) == ["datamart[0].event_rule[0].channel"]
