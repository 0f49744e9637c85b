"""Step 3: who is asked with what, what an answer may change, what comes of failures (mediarithmics 6)."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from engine.definitions.declared.analyzers import AnalyzerProperty
from engine.definitions.defined import Defined
from engine.errors import CallerError
from engine.model.activity import public
from engine.pipeline import analyzers
from engine.pipeline.analyzers import taking_over
from engine.pipeline.stage import Answer, Dead, Drop, Keep, Note, keep
from tests.pipeline.analyses import EVENTS, ROOT, SITE, Analysis, analyzer, closed_of, defined, failed, ok
from tests.session.build import NOON

ONE = defined(analyzer("1"))
HTTP = defined(analyzer("1", callable="", url="http://plugin:8080"))
SKIP = "STORE_WITH_ERROR_ID_AND_SKIP_UPCOMING_ANALYZERS"
FAILURES = {
    "the call": failed(),
    "no JSON": ok(b"{"),
    "no object": ok([1]),
    "no events": ok({"$type": "SITE_VISIT"}),
    "events null": ok({"$events": None}),
    "events no list": ok({"$events": {}}),
    "an event no object": ok({"$events": [1]}),
    "an event without a name": ok({"$events": [{"$ts": 1}]}),
    "an event with a bad time": ok({"$events": [{"$event_name": "a", "$ts": -1}]}),
    "properties no object": ok({"$events": [{"$event_name": "a", "$ts": 1, "$properties": []}]}),
    "a bad origin": ok({"$events": [], "$origin": {"$source": {}}}),
    "an origin no object": ok({"$events": [], "$origin": "email"}),
    "a bad location": ok({"$events": [], "$location": {"$latlon": [1]}}),
    "a bad life": ok({"$events": [], "$ttl": -1}),
    "too deep": ok(b'{"$events":[],"deep":' + b"[" * 100 + b"]" * 100 + b"}"),
    "bad text": ok(b'{"$events":[],"text":"\\ud800"}'),
}


def stored(activity):
    return public(activity.encode()).decode()


class TestSection6p1And6p2:
    """Role and attachment."""

    def test_nothing_is_asked_of_a_channel_without_analyzers(self):
        other = defined(analyzer("1"), channel="site:2")
        analysis = Analysis(other)
        assert analysis.verdict == Keep(analysis.before)
        assert analyzers.build(Defined(datamart=1)) is keep
        assert analyzers.build(defined(analyzer("1"), attached=())) is keep

    def test_an_activity_without_a_channel_is_not_analyzed(self):
        analysis = Analysis(ONE, closed=structs.replace(closed_of(), channel=None))
        assert analysis.verdict == Keep(analysis.before)

    def test_several_run_in_their_order_each_on_what_the_one_before_made(self):
        chain = defined(analyzer("1"), analyzer("2"), analyzer("3"), attached=("3", "1"))
        analysis = Analysis(chain, lambda one: one | {"trail": "3"}, lambda one: one | {"trail": one["trail"] + "1"})
        assert analysis.asked == ["3", "1"]
        assert json.loads(stored(analysis.verdict.activity))["trail"] == "31"

    def test_one_may_be_attached_twice(self):
        analysis = Analysis(defined(analyzer("1"), attached=("1", "1")), *[lambda one: one] * 2)
        assert analysis.counts["analyzer_ok.1"] == 2


class TestSection6p4:
    """The protocol."""

    def test_the_activity_is_shown_as_it_is_public_absent_base_fields_as_null(self):
        analysis = Analysis(ONE, lambda one: one)
        (question,), (shown,) = analysis.questions, analysis.shown
        assert (question.datamart, question.channel_id, question.analyzer.id) == (1, "1", "1")
        assert question.activity == public(analysis.before.encode())
        for name in ("$email_hash", "$user_account_id", "$error_analyzer_id", "$topics"):
            assert shown[name] is None
        assert shown["$origin"]["$campaign_id"] is None
        assert shown["$location"]["$city"] is None

    def test_the_worked_pair(self):
        def rename(one):
            one["$events"][0]["$event_name"] = "hello"
            return one | {"processed_by": "com.mediarithmics.visit-analyzer:default v.1001"}

        analysis = Analysis(HTTP, rename)
        found, shown = json.loads(stored(analysis.verdict.activity)), analysis.shown[0]
        shown["$events"][0]["$event_name"] = "hello"
        assert found == shown | {"processed_by": "com.mediarithmics.visit-analyzer:default v.1001"}

    def test_drop_is_a_decision_and_no_failure(self):
        chain = defined(analyzer("1", error_recovery_strategy="STORE_WITH_ERROR_ID"), analyzer("2"))
        analysis = Analysis(chain, Answer("drop"))
        assert isinstance(analysis.verdict, Drop)
        assert analysis.verdict.reason == "analyzer"
        assert analysis.asked == ["1"], "those chained after it are not called"
        assert analysis.counts == {"events_step.ACTIVITY_ANALYZER": 1, "analyzer_dropped.1": 1}

    @pytest.mark.parametrize("answer", FAILURES.values(), ids=FAILURES)
    def test_what_is_a_failure(self, answer):
        analysis = Analysis(ONE, answer)
        assert analysis.verdict.activity == analysis.before.replaced(error_analyzer_id="1")
        assert analysis.counts == {"events_step.ACTIVITY_ANALYZER": 1, "analyzer_failed.1": 1}
        ((about, outcome, detail),) = [(one.about, one.outcome, one.detail) for one in analysis.notes]
        assert (about, outcome) == ("analyzer 1", "failed")
        assert "$" in detail or "died" in detail

    def test_the_place_of_the_fault_is_said(self):
        analysis = Analysis(ONE, ok({"$events": [{"$event_name": "a"}, {"$ts": 1}]}))
        assert "$.$events[1]" in analysis.notes[0].detail


class TestSection6p5:
    """Failure: one test a row."""

    def test_store_with_error_id_goes_on_to_the_next_analyzer_without_its_changes(self):
        chain = defined(analyzer("1", error_recovery_strategy="STORE_WITH_ERROR_ID"), analyzer("2"))
        analysis = Analysis(chain, failed(), lambda one: one | {"by": "2"})
        assert analysis.asked == ["1", "2"]
        assert analysis.verdict.activity.error_analyzer_id == "1"
        assert analysis.shown[1]["$error_analyzer_id"] == "1"
        assert json.loads(stored(analysis.verdict.activity))["by"] == "2"

    def test_and_skip_upcoming_saves_without_its_changes_and_without_the_later_ones(self):
        chain = defined(analyzer("0"), analyzer("1", error_recovery_strategy=SKIP), analyzer("2"))
        analysis = Analysis(chain, lambda one: one | {"by": "0"}, failed())
        assert analysis.asked == ["0", "1"]
        assert isinstance(analysis.verdict, Keep)
        assert analysis.verdict.activity.error_analyzer_id == "1"
        assert json.loads(stored(analysis.verdict.activity))["by"] == "0", "what went before stays"

    def test_drop_does_not_save(self):
        chain = defined(analyzer("1", error_recovery_strategy="DROP"), analyzer("2"))
        analysis = Analysis(chain, failed())
        assert analysis.verdict.reason == "analyzer_failed", "counted apart from an analyzer's own drop"
        assert analysis.counts == {"events_step.ACTIVITY_ANALYZER": 1, "analyzer_failed.1": 1}

    def test_of_two_that_failed_the_first_is_named(self):
        analysis = Analysis(defined(analyzer("1"), analyzer("2")), failed(), failed())
        assert analysis.verdict.activity.error_analyzer_id == "1"
        assert analysis.counts["analyzer_failed.1"] == analysis.counts["analyzer_failed.2"] == 1


class TestWhatMayChange:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("$ts", 1),
            ("$type", "TOUCH"),
            ("$session_status", "LIVE"),
            ("$unique_key", "00000000-0000-1000-8000-000000000000"),
            ("$user_identifiers", []),
            ("$user_agent_id", "vec:2"),
            ("$user_account_id", "x"),
            ("$compartment_id", "2"),
            ("$email_hash", {"$hash": "00"}),
            ("$site_id", "2"),
            ("$app_id", "2"),
            ("$session_duration", 99),
            ("$error_analyzer_id", "9"),
        ],
    )
    def test_these_are_ignored(self, name, value):
        analysis = Analysis(ONE, lambda one: one | {name: value})
        assert analysis.verdict.activity is analysis.before

    @pytest.mark.parametrize("name", ["$ts", "$type", "$unique_key", "$user_identifiers", "$site_id"])
    def test_nor_can_they_be_taken_away(self, name):
        analysis = Analysis(ONE, lambda one: {key: value for key, value in one.items() if key != name})
        assert analysis.verdict.activity is analysis.before

    @pytest.mark.parametrize(
        ("name", "value", "said"),
        [
            ("$ttl", 5, "$ttl"),
            ("$ttl", None, "$ttl"),
            ("$origin", {"$source": "other"}, "$origin"),
            ("$origin", None, "$origin"),
            ("$location", {"$city": "Lyon", "own": 1}, "$location"),
            ("$location", None, "$location"),
            ("$events", [], "$events"),
            ("amount", 8, "amount"),
            ("new", {"a": [1, None]}, "new"),
            ("$topics", {"a": {"b": 1}}, "$topics"),
        ],
    )
    def test_these_are_taken_over(self, name, value, said):
        analysis = Analysis(ONE, lambda one: one | {name: value})
        found = json.loads(stored(analysis.verdict.activity))[name]
        if isinstance(value, dict) and isinstance(found, dict):
            found = {key: one for key, one in found.items() if one is not None and key != "$ts"}
        assert found == value
        assert analysis.notes == [Note("analyzer 1", "changed", f"{said} (1.0 ms)")]

    @pytest.mark.parametrize("name", ["amount", "$unheard_of", "$ttl", "$origin", "$location", "last"])
    def test_what_is_not_in_the_answer_is_gone(self, name):
        analysis = Analysis(ONE, lambda one: {key: value for key, value in one.items() if key != name})
        assert json.loads(stored(analysis.verdict.activity)).get(name) is None
        assert name.encode() not in analysis.verdict.activity.encode()

    def test_an_event_without_a_time_happened_when_the_activity_did(self):
        analysis = Analysis(ONE, lambda one: one | {"$events": [{"$event_name": "new"}]})
        (event,) = analysis.verdict.activity.events
        assert (event.ts_ms, event.name) == (NOON, "new")

    def test_nulls_that_it_was_shown_and_leaves_out_make_no_difference(self):
        def clean(value):
            return {key: clean(one) if isinstance(one, dict) else one for key, one in value.items() if one is not None}

        analysis = Analysis(ONE, lambda one: clean(one) | {"last": None, "$events": one["$events"]})
        assert analysis.verdict.activity is analysis.before


class TestDecision37:
    """What it leaves comes back byte for byte."""

    def test_an_analyzer_that_changes_one_thing_changes_no_text_beside_it(self):
        def touch(one):
            one["$events"][0]["$properties"]["n"] = 2
            return one

        analysis = Analysis(HTTP, touch)
        text = analysis.verdict.activity.encode().decode()
        before = analysis.before.encode().decode()
        assert text == before.replace('"n":1.0', '"n":2')
        assert '"price":1.50' in text
        assert '"weight":2.50' in text
        assert '"$latlon":[48.0,2.50]' in text
        assert '{"10":1.0,"9":2}' in text

    def test_as_javascript_reads_and_writes_it(self):
        """All numbers are doubles, whole ones have no point, and names like numbers come first."""
        answer = json.loads(EVENTS.replace("1.0", "1").replace("12345678901234567890", "12345678901234567000"))
        answer[1]["$event_name"] = "other"

        def through(one):
            return one | {"$events": answer, "$unheard_of": {"9": 2, "10": 1}}

        analysis = Analysis(HTTP, through)
        before = analysis.before.encode().decode()
        assert analysis.verdict.activity.encode().decode() == before.replace("$item_view", "other")

    def test_a_callable_in_python_knows_integers(self):
        closed = closed_of(ROOT.replace("7.10", "9007199254740993"))
        analysis = Analysis(ONE, lambda one: one | {"amount": 9007199254740992}, closed=closed)
        assert b'"amount":9007199254740992' in analysis.verdict.activity.encode()

    def test_an_event_taken_out_leaves_the_others_as_they_are(self):
        analysis = Analysis(HTTP, lambda one: one | {"$events": [{"$ts": 1, "$event_name": "x"}, one["$events"][1]]})
        assert analysis.verdict.activity.events[1] is analysis.before.events[1]

    def test_unchanged_is_the_same_activity(self):
        assert (analysis := Analysis(ONE, lambda one: one)).verdict.activity is analysis.before
        assert analysis.notes == [Note("analyzer 1", "unchanged", "(1.0 ms)")]
        assert analysis.counts == {"events_step.ACTIVITY_ANALYZER": 1, "analyzer_ok.1": 1}


class TestDecision16:
    def test_what_analyzers_make_too_large_is_dead(self):
        analysis = Analysis(defined(analyzer("1"), analyzer("2")), lambda one: one | {"x": "y" * 3000}, lambda one: one)
        assert isinstance(analysis.verdict, Dead)
        assert analysis.verdict.reason == "activity_too_large"
        assert "2000" in analysis.verdict.detail

    def test_what_a_later_one_makes_smaller_again_is_not(self):
        chain = defined(analyzer("1"), analyzer("2"))
        analysis = Analysis(chain, lambda one: one | {"x": "y" * 3000}, lambda one: one | {"x": "y"})
        assert isinstance(analysis.verdict, Keep)

    def test_what_was_as_large_before_is_not(self):
        """The engine's own measure may differ by a few characters from what was measured when it was taken."""
        small = structs.replace(SITE, max_activity_chars=300)
        closed = structs.replace(closed_of(), channel=small)
        analysis = Analysis(ONE, lambda one: one | {"amount": 8}, closed=closed)
        assert isinstance(analysis.verdict, Keep)
        analysis = Analysis(ONE, lambda one: one | {"amount": "eight hundred"}, closed=closed)
        assert isinstance(analysis.verdict, Dead)

    def test_an_origin_of_its_own_counts(self):
        analysis = Analysis(ONE, lambda one: one | {"$origin": {"$source": "y" * 2000}})
        assert isinstance(analysis.verdict, Dead)


BAD = {
    "neither": ({"callable": ""}, "analyzers[0]"),
    "both": ({"url": "http://plugin"}, "analyzers[0]"),
    "no function": ({"callable": "some.module"}, "analyzers[0].callable"),
    "no module": ({"callable": ":function"}, "analyzers[0].callable"),
    "a path": ({"callable": "some/module.py:function"}, "analyzers[0].callable"),
    "no address": ({"callable": "", "url": "plugin:8080"}, "analyzers[0].url"),
    "another protocol": ({"callable": "", "url": "ftp://plugin"}, "analyzers[0].url"),
    "a bad port": ({"callable": "", "url": "http://plugin:99999"}, "analyzers[0].url"),
    "a line feed": ({"callable": "", "url": "http://plugin/a\nb"}, "analyzers[0].url"),
    "a query": ({"callable": "", "url": "http://plugin/?a=b"}, "analyzers[0].url"),
    "a password": ({"callable": "", "url": "http://a:b@plugin/"}, "analyzers[0].url"),
    "a user": ({"callable": "", "url": "http://a@plugin:99999/"}, "analyzers[0].url"),
    "an empty label": ({"callable": "", "url": "http://a..b/"}, "analyzers[0].url"),
    "a long label": ({"callable": "", "url": f"http://{'a' * 64}/"}, "analyzers[0].url"),
    "a fast plugin": ({"callable": "", "url": "http://plugin", "fast": True}, "analyzers[0].fast"),
    "half a credential": ({"worker_id": "w"}, "analyzers[0].token"),
    "a property twice": (
        {"properties": (AnalyzerProperty(technical_name="a"), AnalyzerProperty(technical_name="a"))},
        "analyzers[0].property[1].technical_name",
    ),
}


class TestDefinitions:
    @pytest.mark.parametrize(("fields", "path"), BAD.values(), ids=BAD)
    def test_what_cannot_work_is_refused_with_its_path(self, fields, path):
        with pytest.raises(CallerError) as error:
            analyzers.build(defined(analyzer("1", **fields)))
        assert (error.value.code, error.value.path) == ("bad_definition", path)

    def test_an_analyzer_that_is_not_there_cannot_be_attached(self):
        with pytest.raises(CallerError) as error:
            analyzers.build(defined(analyzer("1"), attached=("1", "2")))
        assert error.value.path == "analyzers_of.site:1[1]"

    def test_an_id_is_one_analyzers(self):
        with pytest.raises(CallerError) as error:
            analyzers.build(defined(analyzer("1"), analyzer("1")))
        assert error.value.path == "analyzers[1].id"


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["$events", "$origin", "$location", "$ttl", "own", "$own"]), json_values))
def test_whatever_it_answers_is_an_activity_or_a_failure(changes):
    analysis = Analysis(ONE, ok(json.dumps(changes).encode()))
    activity = analysis.verdict.activity
    assert json.loads(activity.encode())["$unique_key"] == str(analysis.before.unique_key)
    assert activity.identifiers == analysis.before.identifiers
    assert activity.error_analyzer_id in (None, "1")
    assert taking_over._ceiling(activity) >= taking_over._chars(activity, analysis.before)
