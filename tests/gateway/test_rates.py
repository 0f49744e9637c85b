"""Token buckets: how fast is too fast, when it is over, and that the tables stay small."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import Buckets, RateSettings
from gateway.collect.collect import Collect
from gateway.collect.rates import Rates, too_fast
from gateway.errors import RequestError
from tests.gateway.engines import SITE, call, memory_collect, plane_of


class Now:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.s = 100.0

    def __call__(self) -> float:
        return self.s


class Timed:
    """Buckets and a clock."""

    def __init__(self, per_s: float, burst: int, most: int, now: Now) -> None:
        self.buckets: Buckets[str] = Buckets(per_s, burst, most)
        self.now = now

    def __len__(self) -> int:
        return len(self.buckets)

    def take(self, key: str, amount: float = 1.0) -> float:
        wait_s = self.buckets.wait_s(key, self.now())
        if not wait_s:
            self.buckets.take(key, self.now(), amount)
        return wait_s


def test_a_bucket_lets_a_burst_through_and_then_as_much_as_flows_in():
    now = Now()
    buckets = Timed(2.0, 3, 10, now)
    assert [buckets.take("a") for _ in range(5)] == [0, 0, 0, 0.5, 0.5]
    assert (buckets.buckets.refused, buckets.take("b")) == (2, 0)
    now.s += 0.25
    assert buckets.take("a") == pytest.approx(0.25)
    now.s += 0.25
    assert (buckets.take("a"), buckets.take("a")) == (0, 0.5)
    now.s += 1000
    assert [buckets.take("a") for _ in range(4)] == [0, 0, 0, 0.5], "more than it holds does not flow in"


def test_what_is_larger_than_the_bucket_passes_once_and_is_paid_for():
    now = Now()
    buckets = Timed(1.0, 10, 10, now)
    assert buckets.take("a", 100.0) == 0
    assert buckets.take("a") == 91
    now.s += 91
    assert buckets.take("a") == 0


def test_without_a_rate_there_is_no_limit_and_nothing_to_remember():
    buckets = Timed(0.0, 1, 10, Now())
    assert not any(buckets.take("a") for _ in range(100))
    assert len(buckets) == 0


def test_who_has_not_sent_for_longest_is_forgotten_first():
    buckets = Timed(1.0, 1, 3, Now())
    for key in "abca":
        buckets.take(key)
    buckets.take("d")
    assert len(buckets) == 3
    assert buckets.take("a") > 0
    assert buckets.take("b") == 0, "forgotten, so full"


@given(
    st.lists(st.tuples(st.sampled_from("abcdef"), st.floats(0, 5), st.floats(0.1, 20)), max_size=60),
    st.floats(0.1, 10),
    st.integers(1, 10),
    st.integers(1, 4),
)
def test_nobody_gets_more_than_the_burst_and_the_flow(
    steps: list[tuple[str, float, float]], per_s: float, burst: int, most: int
):
    now = Now()
    buckets = Timed(per_s, burst, most, now)
    alone = Timed(per_s, burst, 1, now)
    passed = 0
    for key, pause_s, amount in steps:
        now.s += pause_s
        wait_s = buckets.take(key, amount)
        assert wait_s >= 0
        assert len(buckets) <= most
        passed += alone.take("one") == 0
    assert passed <= burst + (now.s - 100) * per_s + 1e-6


def rates(now: Now, **settings: float) -> Rates:
    return Rates(RateSettings(**settings), now)


def refused(check: Callable[[str], None], key: str) -> bool:
    try:
        check(key)
    except RequestError as error:
        return error.status == 429 and int(error.headers["retry-after"]) >= 1
    return False


@pytest.mark.parametrize(
    ("first", "second", "is_one"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::1", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:198.51.100.1", False),
        ("not:an:address", "not:an:address", True),
        ("not:an:address", "another:address", False),
        ("", "", True),
    ],
)
def test_a_household_is_one_sender(first: str, second: str, is_one: bool):
    one = rates(Now(), requests_per_s_of_address=1.0, burst_of_address=1)
    assert not refused(one.check_address, first)
    assert refused(one.check_address, second) is is_one


def test_addresses_and_tokens_are_counted_apart():
    one = rates(Now(), requests_per_s_of_token=1.0, burst_of_token=1)
    assert not any(refused(one.check_address, "192.0.2.1") for _ in range(10))
    assert [refused(one.check_token, "t") for _ in range(2)] == [False, True]
    assert (one.tokens.refused, one.addresses.refused) == (1, 0)


@pytest.mark.parametrize("wait_s", [1e-9, 0.3, 1.0, 1.0001, 59.5, 1e6])
def test_the_pause_is_a_whole_number_long_enough_and_spread(wait_s: float):
    pauses = {too_fast("token", wait_s).headers["retry-after"] for _ in range(60)}
    assert all(pause.isascii() and pause.isdecimal() for pause in pauses)
    assert min(map(int, pauses)) >= max(1.0, wait_s)
    assert max(map(int, pauses)) <= 2 * (wait_s + 1)
    assert len(pauses) > 1


async def test_a_plane_answers_429_by_address_and_by_token():
    path = "/v1/datamarts/1/user_activities"
    limits = {"rates__requests_per_s_of_address": 0.001, "rates__burst_of_address": 2}
    async with memory_collect(**limits) as collect:
        plane = plane_of(collect)
        replies = [await call(plane, "POST", path, b"[]", client="192.0.2.9") for _ in range(3)]
        assert [reply.status for reply in replies] == [200, 200, 429]
        assert int(dict(replies[2].headers)["retry-after"]) >= 1
        assert b"too_many_requests_of_address" in replies[2].body
        assert (await call(plane, "POST", path, b"[]", client="192.0.2.10")).status == 200
        assert b"sojourn_rate_buckets_of_addresses 2.0" in collect.counters.text()
    async with memory_collect(rates__requests_per_s_of_token=0.001, rates__burst_of_token=1) as collect:
        assert used(collect, SITE) == [None, "too_many_requests_of_token"]
        assert used(collect, "unknown") == ["unknown_token", "unknown_token"]


def used(collect: Collect, token: str) -> list[str | None]:
    found: list[str | None] = []
    for _ in range(2):
        try:
            collect.sender(token)
            found.append(None)
        except RequestError as error:
            found.append(error.code)
    return found


async def test_a_user_who_sends_too_fast_is_told_so_alone_and_counted():
    async with memory_collect(rates__events_per_s_of_user=0.001, rates__burst_of_user=2) as collect:
        plane = plane_of(collect)

        async def send(user: str) -> int:
            body = b"""{"$type":"SITE_VISIT","$session_status":"IN_SESSION","$site_id":"1","$user_agent_id":"%s",
                "$events":[{"$event_name":"seen"}]}""" % user.encode()
            reply = await call(plane, "POST", "/v1/datamarts/1/user_activities", body, token=SITE)
            if reply.status == 429:
                assert int(dict(reply.headers)["retry-after"]) >= 1
                assert b'"hot_user"' in reply.body
            return reply.status

        assert [await send(user) for user in ("a", "a", "a", "b", "a")] == [200, 200, 429, 200, 429]
        assert b"sojourn_user_rate_refusals 2.0" in collect.engine.metrics()
