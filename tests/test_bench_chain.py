"""The bench of the chain runs, and everything it hands over is stored."""

import pytest

from bench.chain import described, report_of


@pytest.mark.slow
def test_all_that_is_handed_to_the_chain_is_stored():
    report = report_of(count=400, rounds=1, delay_ms=5)
    assert [(way.activities, way.dead) for way in report.ways] == [(400, 0), (400, 0), (500, 0)]
    assert all(way.per_s.min > 0 for way in report.ways)
    assert described(report).count("activities/s") == 3
