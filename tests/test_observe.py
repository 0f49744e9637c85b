"""What can be seen from outside: lines that a machine can read, and metrics that Prometheus takes."""

import gc
import io
import json

import pytest
import structlog
from prometheus_client.parser import text_string_to_metric_families

from engine.observe import GcPauses, Metrics, configure_logging, log


@pytest.fixture(autouse=True)
def restored():
    before = structlog.get_config()
    yield
    structlog.configure(**before)


def lines(level="info", form="json"):
    out = io.StringIO()
    configure_logging(form, level, out)
    log("started", port=8080)
    log("odd", "warning", what="é")
    log("detail", "debug")
    return out.getvalue().splitlines()


def test_a_line_of_json_says_what_when_and_how_bad():
    one, two = map(json.loads, lines())
    assert (one["event"], one["level"], one["port"]) == ("started", "info", 8080)
    assert (two["event"], two["level"], two["what"]) == ("odd", "warning", "é")
    assert one["timestamp"].endswith("Z")


def test_a_line_for_people_has_the_same_in_it():
    (one, _) = lines(form="console")
    assert "started" in one
    assert "port" in one
    assert "\x1b" not in one, "colours outside a terminal"


@pytest.mark.parametrize(("level", "count"), [("debug", 3), ("info", 2), ("warning", 1), ("error", 0)])
def test_a_level_leaves_out_what_is_below_it(level, count):
    assert len(lines(level)) == count


def metrics(counters, gauges=None):
    text = Metrics(lambda: counters, lambda: gauges or {}).text().decode()
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_what_is_behind_a_dot_is_a_label_of_gauges_too():
    found = metrics({1: {"outbox_waiting": 3, "outbox_waiting.crm": 3}}, {"paused.1/crm": 1.0, "paused.1/erp": 0.0})
    datamart = ("datamart", "1")
    assert found["sojourn_outbox_waiting", datamart] == 3
    assert found["sojourn_outbox_waiting_by_reason", datamart, ("reason", "crm")] == 3
    assert (found["sojourn_paused", ("of", "1/crm")], found["sojourn_paused", ("of", "1/erp")]) == (1, 0)


def test_counters_by_datamart_and_by_reason():
    found = metrics(
        {
            1: {"events_dead": 3, "events_dead.bad_line": 2, "events_dead.stage_error": 1, "sessions_closed.gap": 4},
            2: {"events_dead": 1, "events_dead.bad_line": 1, "events_open": 7, "user_points": 5},
        }
    )
    one, two = ("datamart", "1"), ("datamart", "2")
    assert found == {
        ("sojourn_events_dead_total", one): 3,
        ("sojourn_events_dead_total", two): 1,
        ("sojourn_events_dead_by_reason_total", one, ("reason", "bad_line")): 2,
        ("sojourn_events_dead_by_reason_total", one, ("reason", "stage_error")): 1,
        ("sojourn_events_dead_by_reason_total", two, ("reason", "bad_line")): 1,
        ("sojourn_sessions_closed_total", one, ("reason", "gap")): 4,
        ("sojourn_events_open", one): 0,
        ("sojourn_events_open", two): 7,
        ("sojourn_user_points", one): 0,
        ("sojourn_user_points", two): 5,
        ("sojourn_outbox_waiting", one): 0,
        ("sojourn_outbox_waiting", two): 0,
    }


def test_what_also_goes_down_is_no_counter():
    text = Metrics(lambda: {1: {"events_open": 1, "user_points": 1}}, dict).text().decode()
    assert "# TYPE sojourn_events_open gauge" in text
    assert "# TYPE sojourn_user_points gauge" in text
    assert "_total" not in text


def test_gauges_are_read_at_each_look():
    now = {"live_users": 1.0}
    read = Metrics(dict, lambda: now)
    assert b"sojourn_live_users 1.0" in read.text()
    now["live_users"] = 2.5
    assert b"sojourn_live_users 2.5" in read.text()


def test_any_reason_can_be_a_label():
    odd = 'quote " slash \\ line \n é'
    assert (
        metrics({1: {f"events_refused.{odd}": 1}})["sojourn_events_refused_total", ("datamart", "1"), ("reason", odd)]
        == 1
    )


def test_two_engines_in_one_process_do_not_share_metrics():
    assert b"live" not in Metrics(dict, dict).text()
    assert b"live" in Metrics(dict, lambda: {"live": 1.0}).text()


def test_pauses_of_the_garbage_collector_are_seen_while_one_looks():
    with GcPauses() as pauses:
        gc.collect()
        assert pauses.collections >= 1
        assert pauses.max_ms >= pauses.last_ms > 0
    seen = pauses.collections
    gc.collect()
    assert pauses.collections == seen
