"""Questions to analysts, in tests."""

import json

from engine.definitions.declared.analyzers import Analyzer
from engine.pipeline.stage import Question
from engine.settings import AnalyzersSettings

SAMPLES = "tests.actors.analysts.samples"
QUICK = AnalyzersSettings(workers=1, breaker_failures=3, retries=3)


def plugin_of(url, **fields):
    return Analyzer(**({"id": "7", "url": url, "timeout_ms": 5000} | fields))


def callable_of(name, **fields):
    return Analyzer(**({"id": "7", "callable": f"{SAMPLES}:{name}", "timeout_ms": 5000} | fields))


def question(analyzer, **activity):
    shown = {"$events": [{"$ts": 1, "$event_name": "page HP"}]} | activity
    return Question(analyzer, 1, "site", json.dumps(shown).encode())


def told(answer):
    return json.loads(answer.activity)
