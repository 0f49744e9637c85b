"""The fold under all that can happen at once: timers, crashes, merges, slow commits (decisions 3, 5 to 8, 17)."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.session.drawn import USERS, VERSIONS, Journalist, Step, steps
from tests.session.oracle import Left, PlainFold
from tests.session.world import World


class Fold(RuleBasedStateMachine):
    """Records go to a world that suffers, and are kept for a plain fold and a calm world that do not."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(VERSIONS)
        self.journalist = Journalist()

    @rule(drawn=st.lists(steps, min_size=1, max_size=6))
    def send(self, drawn: list[Step]) -> None:
        for step in drawn:
            known = len(self.journalist.sent)
            step(self.journalist)
            self.deliver(known)

    def deliver(self, known: int) -> None:
        for record, _ in self.journalist.sent[known:]:
            self.world.send(record)

    @rule()
    def timer(self) -> None:
        self.world.expire(self.journalist.now)

    @rule(count=st.integers(1, 4))
    def commit(self, count: int) -> None:
        self.world.commit(count)

    @rule(committed=st.integers(0, 3))
    def crash(self, committed: int) -> None:
        self.world.commit(committed)
        self.world.crash()

    @rule(user=st.sampled_from(USERS))
    def bounce(self, user: bytes) -> None:
        self.world.bounce(user)

    @invariant()
    def conserved(self) -> None:
        self.world.check()

    def teardown(self) -> None:
        """Close everything: what was stored is what a plain fold makes of the same records, in the same order."""
        known = len(self.journalist.sent)
        self.journalist.close_all()
        self.deliver(known)
        self.world.commit(10**6)
        assert not self.world.journal
        assert not self.world.states
        plain, calm = PlainFold(VERSIONS), World(VERSIONS)
        expected: list[Left] = []
        for record, what in self.journalist.sent:
            expected += plain.apply(record, what)
            calm.send(record)
        calm.commit(10**6)
        for user in USERS:
            stored = [one for one in self.world.stored if one[0] == user]
            assert [one[:3] for one in stored] == [one for one in expected if one[0] == user]
            assert stored == [one for one in calm.stored if one[0] == user]


TestFold = pytest.mark.slow(Fold.TestCase)
TestFold.settings = settings(max_examples=80, stateful_step_count=25)
