"""What answers mean, and when a request is tried again (decision 32)."""

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.model.delivery import Fate, address_of, backoff_ms, fate_of, label_of, retry_after_ms, status_class

HOUR_MS = 3_600_000
NOW_MS = 1_700_000_000_000


@pytest.mark.parametrize(
    ("status", "fate"),
    [
        *((status, Fate.DONE) for status in (200, 201, 202, 204, 299)),
        *((status, Fate.REFUSED) for status in (400, 405, 406, 410, 411, 413, 414, 415, 422, 431)),
        *((status, Fate.AGAIN) for status in (401, 403, 404, 407, 408, 409, 418, 425, 429)),
        *((status, Fate.AGAIN) for status in (500, 501, 502, 503, 504, 599)),
        *((status, Fate.AGAIN) for status in (0, 100, 301, 302, 304, 307, 308, 600)),
    ],
)
def test_what_a_status_means(status, fate):
    assert fate_of(status) is fate


def test_the_class_of_a_status():
    assert [status_class(one) for one in (200, 308, 404, 503, 0)] == ["2xx", "3xx", "4xx", "5xx", "none"]


@pytest.mark.parametrize(("failures", "most"), [(1, 2), (2, 4), (5, 32), (11, 2048), (12, 3600), (50, 3600)])
def test_waits_double_up_to_the_longest(failures, most):
    assert backoff_ms(failures, 0.999999, first_ms=1000, most_ms=HOUR_MS) == pytest.approx(most * 1000, rel=0.001)


@given(st.integers(1, 10**6), st.floats(0, 1, exclude_max=True))
def test_any_wait_is_within_its_bounds_and_shrinks_with_chance(failures, draw):
    full = backoff_ms(failures, draw, first_ms=1000, most_ms=HOUR_MS)
    assert 1 <= full <= HOUR_MS
    assert backoff_ms(failures, draw / 2, first_ms=1000, most_ms=HOUR_MS) <= full
    assert backoff_ms(failures, 0.0, first_ms=1000, most_ms=HOUR_MS) == 1


@pytest.mark.parametrize(
    ("header", "wait_ms"),
    [
        ("120", 120_000),
        (" 5 ", 5000),
        ("0", 0),
        ("99999", HOUR_MS),
        ("9999999999", HOUR_MS),
        (formatdate(NOW_MS / 1000 + 90, usegmt=True), 90_000),
        (formatdate(NOW_MS / 1000 - 90, usegmt=True), 0),
        ("", 0),
        ("soon", 0),
        ("-5", 0),
        ("1.5", 0),
        ("٣", 0),
        ("Fri, 99 Nov 9999999 99:99:99 GMT", 0),
    ],
)
def test_what_retry_after_asks_for(header, wait_ms):
    assert retry_after_ms(header, NOW_MS, most_ms=HOUR_MS) == wait_ms


@given(st.text())
def test_any_retry_after_is_read_or_not(header):
    assert 0 <= retry_after_ms(header, NOW_MS, most_ms=HOUR_MS) <= HOUR_MS


@pytest.mark.parametrize(
    ("url", "path", "address"),
    [
        ("https://a.example/hook?key=1", "", "https://a.example/hook?key=1"),
        ("https://a.example", "/v1/scenario_custom_actions", "https://a.example/v1/scenario_custom_actions"),
        ("https://a.example/", "/v1/x", "https://a.example/v1/x"),
        ("https://a.example/base/", "x", "https://a.example/base/x"),
        ("https://a.example/base?key=1", "/x?y=2", "https://a.example/base/x?key=1&y=2"),
        ("https://a.example:8443/base", "?y=2", "https://a.example:8443/base?y=2"),
    ],
)
def test_the_path_of_a_request_goes_behind_the_path_of_its_destination(url, path, address):
    assert address_of(url, path) == address


def test_a_label_is_the_id_or_other():
    assert label_of("crm-1.eu_x") == "crm-1.eu_x"
    assert [label_of(one) for one in ("", "a b", "é", "x" * 65)] == ["other"] * 4
