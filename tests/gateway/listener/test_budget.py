"""What all connections hold together never exceeds its bound."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.collect.listener.budget import Budget


@given(st.lists(st.integers(0, 120)), st.integers(1, 300))
def test_what_is_taken_stays_within_the_bound_and_comes_back(sizes: list[int], max_bytes: int):
    budget = Budget(max_bytes)
    taken = []
    for size in sizes:
        if budget.take(size):
            taken.append(size)
        assert budget.used_bytes == sum(taken) <= max_bytes
        if taken and size % 3 == 0:
            budget.give(taken.pop())
    assert budget.refusals + len(sizes) >= len(taken)
    for size in taken:
        budget.give(size)
    assert budget.used_bytes == 0


def test_who_finds_no_room_is_told_to_come_back():
    budget = Budget(10)
    assert not budget.take(11)
    assert budget.take(10)
    error = budget.refusal()
    assert (error.status, budget.refusals) == (503, 1)
    assert int(error.headers["retry-after"]) >= 1
