"""What is known of users as of what is ahead in the chain: stored, on its way, or dropped after all."""

from engine.actors.facts import Facts
from engine.model.fact import FactKind
from engine.model.identifiers import agent
from engine.pipeline.stage import Drop, Effect, Envelope, KeepFact
from engine.session.closed import Closed, Source
from engine.store.keys import fact_key
from engine.store.memory import MemoryStore
from engine.store.port import Db, Put
from tests.actors.routers import point

APPS = FactKind.APPS


def envelope(user=1):
    return Envelope(Closed(Source.SESSION, 1, point(user), (1,)))


def says(value, user=1):
    return KeepFact(1, point(user), APPS, value)


class Chain:
    """The overlay over a store, and envelopes as the stages treat them."""

    def __init__(self, **stored):
        self.store = MemoryStore()
        for name, value in stored.items():
            self.keep(value, int(name.removeprefix("user")))
        self.facts = Facts(self.store)

    def keep(self, value, user=1):
        self.store.commit([Put(Db.FACTS, fact_key(1, point(user), APPS), value)])

    def enter(self, user=1, value=None, **more):
        """An envelope that looks, and perhaps says something; returns it and what it saw."""
        made = envelope(user)
        return made, self.look(made, value, **more)

    def look(self, made, value=None, of=None, gone=False):
        context = self.facts.context(made)
        seen = context.read(APPS, None if of is None else point(of))
        if value is not None or gone:
            effects = (says(value, made.closed.user_point[-1]),)
            context.expect(effects)
            made.effects += effects
        return seen


def test_what_nobody_has_said_is_in_the_store_or_not_known():
    chain = Chain(user1=b"stored")
    assert chain.enter()[1] == b"stored"
    assert chain.enter(2)[1] is None


def test_what_is_ahead_goes_over_the_store_the_latest_first():
    chain = Chain(user1=b"stored")
    chain.enter(value=b"a")
    _, seen = chain.enter(value=b"b")
    assert seen == b"a"
    assert chain.enter()[1] == b"b"
    assert chain.enter(2)[1] is None
    chain.enter(gone=True)
    assert chain.enter()[1] is None, "nothing is known any more"


def test_own_effects_are_seen_by_later_steps():
    chain = Chain()
    made, _ = chain.enter(value=b"mine")
    assert chain.look(made) == b"mine"
    assert made.context.holds()


def test_of_another_user_point():
    chain = Chain(user2=b"two")
    assert chain.enter(of=2)[1] == b"two"
    chain.enter(2, b"changed")
    assert chain.enter(of=2)[1] == b"changed"


def test_what_is_dropped_is_not_seen_and_was_not_rightly_seen():
    chain = Chain(user1=b"stored")
    first, _ = chain.enter(value=b"a")
    second, seen = chain.enter(value=b"b")
    third, last = chain.enter()
    assert (seen, last) == (b"a", b"b")
    first.verdict, first.effects = Drop("no_consent"), ()
    assert first.context.holds()
    assert not second.context.holds()
    second.effects = ()
    assert chain.look(second, b"again") == b"stored"
    assert second.context.holds()
    assert not third.context.holds()
    assert chain.look(third) == b"again"
    assert third.context.holds()


def test_who_is_made_again_does_not_see_those_behind():
    chain = Chain()
    first, _ = chain.enter()
    chain.enter(value=b"behind")
    assert chain.look(first, b"now") is None
    assert chain.enter()[1] == b"behind", "and stays ahead of them"


def test_the_same_said_again_holds():
    chain = Chain()
    first, _ = chain.enter(value=b"a")
    second, _ = chain.enter()
    first.effects = ()
    chain.look(first, b"a")
    assert second.context.holds()


def test_who_saw_nothing_of_one_that_says_something_when_made_again():
    """Nothing was ahead when the second looked; then the first, made again for another reason, says something."""
    chain = Chain(user1=b"stored")
    first, _ = chain.enter()
    second, seen = chain.enter()
    assert seen == b"stored"
    chain.look(first, b"now")
    assert not second.context.holds()
    assert chain.look(second) == b"now"
    chain.keep(b"now")
    chain.facts.settled([first])
    assert second.context.holds()


def test_settled_envelopes_are_forgotten_in_any_order():
    chain = Chain()
    made = [chain.enter(value=value)[0] for value in (b"a", b"b", b"c")]
    behind, _ = chain.enter()
    chain.facts.settled([made[1]])
    assert chain.enter()[1] == b"c"
    chain.keep(b"c")
    chain.facts.settled([made[0], made[2], envelope()])
    assert len(chain.facts) == 0
    assert chain.enter()[1] == b"c"
    assert behind.context.holds()
    assert all(one.context is None for one in made)


def test_a_dropped_envelope_is_forgotten_too():
    chain = Chain()
    first, _ = chain.enter(value=b"a")
    first.verdict, first.effects = Drop("no_consent"), ()
    chain.facts.settled([first])
    assert len(chain.facts) == 0


def test_effects_of_other_kinds_are_nobodys_facts():
    class Other(Effect, frozen=True):
        pass

    chain = Chain()
    made = envelope()
    made.effects = (Other(),)
    chain.facts.context(made).expect(made.effects)
    assert chain.enter()[1] is None
    assert len(chain.facts) == 0


def test_of_many_ahead_each_sees_the_one_before():
    chain = Chain()
    made = [chain.enter(value=b"%d" % number) for number in range(500)]
    assert [seen for _, seen in made] == [None, *(b"%d" % number for number in range(499))]
    chain.facts.settled([one for one, _ in made])
    assert len(chain.facts) == 0


def test_who_attaches_is_shown_as_the_survivor_until_that_has_changed():
    chain = Chain()
    met = [(point(2), point(1))]
    chain.facts.meeting = lambda datamart, user_point, identifiers, now_ms: met[-1]
    made = envelope(1)
    context = chain.facts.context(made)
    chain.keep(b"two", 2)
    made.met = context.meet(made.closed, [agent("b")])
    assert (made.view.user_point, made.view.absorbed) == (point(2), point(1))
    assert context.read(APPS) == b"two", "what is read without a name is the survivor's"
    assert made.closed.user_point == point(1)
    assert context.holds()
    context.meet(made.closed, [agent("b")])
    met.append((point(1), b""))
    assert not context.holds()
    assert context.holds(), "what was not asked again is not looked at again"


def test_nobody_meets_anybody_where_nobody_says_who_is_who():
    made = envelope(1)
    assert Chain().facts.context(made).meet(made.closed, [agent("b")]) is made.closed
