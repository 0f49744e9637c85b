"""`$app_install` and `$app_update` follow from the opens, however these are spread over activities (decision 14)."""

import json
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from engine.model.activity import Activity
from engine.model.app_state import Opened, Versions, decode_apps
from engine.model.channel import ChannelSettings
from engine.model.event import event_from
from engine.model.fact import FactKind
from engine.pipeline.app_events import MAX_VERSION_CHARS, app_events, moved
from engine.pipeline.stage import KeepFact
from engine.session.closed import Closed, Source
from tests.session.build import NOON, OTHER, USER, dump

APP = ChannelSettings(datamart=1, kind="MOBILE_APPLICATION", id="1")


class Known:
    """A context that keeps what it is told at once."""

    def __init__(self):
        self.facts = {}

    def read(self, kind, user_point=None):
        return self.facts.get((1, user_point or USER, kind))

    def expect(self, effects):
        for effect in effects:
            assert isinstance(effect, KeepFact)
            self.facts[effect.key] = effect.value

    def holds(self):
        return True

    def apps(self, user_point=USER):
        return decode_apps(self.facts.get((1, user_point, FactKind.APPS)))


def event(ts_ms, name="$app_open", **properties):
    body = {"$ts": NOON + ts_ms, "$event_name": name}
    return event_from(dump(body | {"$properties": {f"${key}": value for key, value in properties.items()}}))


def activity(*events, key=1):
    return Activity(
        ts_ms=min(one.ts_ms for one in events), unique_key=UUID(int=key), type="APP_VISIT", status="x", events=[*events]
    )


def closed(channel=APP, **fields):
    return Closed(Source.SESSION, 1, USER, (1,), channel=channel, **fields)


def through(known, made, **fields):
    """The events of the activity as names, and of derived ones what they say."""
    verdict = app_events(closed(**fields), made, known)
    known.expect(verdict.effects)
    assert {bytes(one.body) for one in made.events} <= {bytes(one.body) for one in verdict.activity.events}
    return [told(one) for one in verdict.activity.events]


def told(one):
    body = json.loads(one.body)
    assert (one.ts_ms, one.name) == (body["$ts"], body["$event_name"])
    at = one.ts_ms - NOON
    if one.name not in ("$app_install", "$app_update"):
        return one.name, at
    return one.name, at, body["$properties"]


OPEN = "$app_open"


def test_the_first_open_is_an_install_and_the_next_is_nothing():
    known = Known()
    first = through(known, activity(event(5, "before"), event(7, app_version="1"), event(8, "behind")))
    assert first == [("before", 5), (OPEN, 7), ("$app_install", 7, {"$app_version": "1"}), ("behind", 8)]
    assert through(known, activity(event(9, app_version="1"), key=2)) == [(OPEN, 9)]


@pytest.mark.parametrize("part", ["app", "os", "sdk"])
def test_another_version_is_an_update_that_says_both(part):
    known = Known()
    versions = {"app_version": "1", "os_version": "2", "sdk_version": "3"}
    through(known, activity(event(1, **versions)))
    changed = versions | {f"{part}_version": "9"}
    expected = {f"${name}": value for name, value in changed.items()}
    expected[f"$previous_{part}_version"] = versions[f"{part}_version"]
    assert through(known, activity(event(2, **changed), key=2)) == [(OPEN, 2), ("$app_update", 2, expected)]
    assert through(known, activity(event(3, **changed), key=3)) == [(OPEN, 3)]
    assert through(known, activity(event(4, **versions), key=4))[1][0] == "$app_update", "an older one again"


def test_a_version_that_is_not_told_is_as_it_was():
    known = Known()
    through(known, activity(event(1)))
    assert through(known, activity(event(2, app_version="1"), key=2)) == [(OPEN, 2)], "not known is no other version"
    assert through(known, activity(event(3, os_version="7"), key=3)) == [(OPEN, 3)]
    update = through(known, activity(event(4, app_version="2"), key=4))[1]
    assert update[2] == {"$app_version": "2", "$os_version": "7", "$previous_app_version": "1"}


@pytest.mark.parametrize("odd", [None, "", True, [], {}, "x" * (MAX_VERSION_CHARS + 1)])
def test_what_is_no_version_tells_nothing(odd):
    known = Known()
    through(known, activity(event(1, app_version="1")))
    assert through(known, activity(event(2, app_version=odd), key=2)) == [(OPEN, 2)]


def test_a_number_is_a_version_as_it_was_written():
    known = Known()
    assert through(known, activity(event(1, app_version=1.10)))[1][2] == {"$app_version": "1.1"}
    assert through(known, activity(event(2, app_version="1.1"), key=2)) == [(OPEN, 2)]


@pytest.mark.parametrize("properties", [None, [], "x", 3])
def test_an_open_without_properties_is_an_open(properties):
    body = {"$ts": NOON, "$event_name": OPEN} | ({} if properties is None else {"$properties": properties})
    assert through(Known(), activity(event_from(dump(body))))[1:] == [("$app_install", 0, {})]


def test_what_the_application_says_itself_is_not_said_twice():
    known = Known()
    sent = [(OPEN, 1), ("$app_install", 1, {}), (OPEN, 2), ("$app_update", 3, {})]
    made = activity(
        event(1, app_version="1"), event(1, "$app_install"), event(2, app_version="2"), event(3, "$app_update")
    )
    assert through(known, made) == sent
    two = activity(event(4, app_version="3"), event(5, "$app_update"), event(6, app_version="4"), key=2)
    assert [one[:2] for one in through(known, two)] == [(OPEN, 4), ("$app_update", 5), (OPEN, 6), ("$app_update", 6)]


def test_an_install_that_was_sent_before_any_open_is_the_install():
    known = Known()
    through(known, activity(event(1, "$app_install")))
    assert through(known, activity(event(2, app_version="1"), key=2)) == [(OPEN, 2)]
    assert through(known, activity(event(3, app_version="2"), key=3))[1][0] == "$app_update"


def test_an_open_that_comes_in_late_tells_nothing():
    known = Known()
    through(known, activity(event(10, app_version="2")))
    assert through(known, activity(event(5, app_version="1"), key=2)) == [(OPEN, 5)]
    assert known.apps()["1"].opened == Opened(NOON + 10, Versions("2"))
    assert through(known, activity(event(11, app_version="2"), key=3)) == [(OPEN, 11)]


def test_opens_of_an_unordered_activity_count_in_their_order():
    made = activity(event(9, app_version="2"), event(3, app_version="1"))
    names = [one[:2] for one in through(Known(), made)]
    assert names == [(OPEN, 9), ("$app_update", 9), (OPEN, 3), ("$app_install", 3)]


@pytest.mark.parametrize("channel", [None, ChannelSettings(datamart=1, kind="SITE", id="1")])
def test_only_applications_are_opened(channel):
    known = Known()
    made = activity(event(1))
    verdict = app_events(closed(channel), made, known)
    assert verdict.activity is made
    assert verdict.effects == ()


def test_each_application_has_its_own():
    known = Known()
    through(known, activity(event(1, app_version="1")))
    other = structs.replace(APP, id="2")
    assert through(known, activity(event(2, app_version="9"), key=2), channel=other)[1][0] == "$app_install"
    assert known.apps().keys() == {"1", "2"}
    assert through(known, activity(event(3, app_version="1"), key=3)) == [(OPEN, 3)]


def test_an_activity_without_opens_changes_nothing():
    made = activity(event(1, "buy"), event(2, "$app_update"))
    verdict = app_events(closed(), made, Known())
    assert (verdict.activity, verdict.effects) == (made, ())


@given(st.lists(st.sampled_from("123"), min_size=1, max_size=8), st.data())
def test_the_same_activity_made_again_says_the_same_and_changes_nothing(versions, data):
    known = Known()
    made = [activity(event(at, app_version=version), key=at + 1) for at, version in enumerate(versions)]
    first = [through(known, one) for one in made]
    before = dict(known.facts)
    again = data.draw(st.integers(0, len(made) - 1))
    assert through(known, made[again]) == first[again]
    assert known.facts == before


def test_a_replaced_activity_is_seen_as_of_its_own_time():
    known = Known()
    through(known, activity(event(1, app_version="1")))
    through(known, activity(event(5, app_version="2"), key=2))
    replaced = through(known, activity(event(5, app_version="3"), key=2))
    assert replaced[1][2] == {"$app_version": "3", "$previous_app_version": "1"}


def test_what_was_known_of_an_absorbed_user_point_counts():
    known, others = Known(), Known()
    through(others, activity(event(5, app_version="1")))
    known.facts[1, OTHER, FactKind.APPS] = others.facts[1, USER, FactKind.APPS]
    part = through(known, activity(event(6, app_version="2"), key=2), absorbed=OTHER)
    assert part[1][0] == "$app_update", "a part that the merge itself has cut off"
    known.facts[1, USER, FactKind.APPS] = None
    known.expect(moved(closed(absorbed=OTHER), known))
    assert known.apps(OTHER) == {}
    assert through(known, activity(event(6, app_version="2"), key=2))[1][0] == "$app_update"
    assert moved(closed(absorbed=OTHER), known) == ()


def expected(opens):
    """The slow and obvious way: an install at the first, an update at each change of what is known."""
    found = []
    before: dict[str, str] = {}
    for number, (at, versions) in enumerate(opens):
        now = before | versions
        if number == 0:
            found.append(("$app_install", at))
        elif any(before.get(key, value) != value for key, value in versions.items()):
            found.append(("$app_update", at))
        before = now
    return found


VERSIONS = st.dictionaries(st.sampled_from(["app_version", "os_version", "sdk_version"]), st.sampled_from("12"))


@given(st.lists(VERSIONS, min_size=1, max_size=12), st.data())
def test_however_opens_are_spread_over_activities_each_change_is_told_once(versions, data):
    opens = list(enumerate(versions))
    cuts = sorted(data.draw(st.sets(st.integers(1, max(1, len(opens) - 1)))))
    known = Known()
    told_now = []
    for number, (start, stop) in enumerate(zip([0, *cuts], [*cuts, len(opens)], strict=True)):
        if start < stop:
            made = activity(*(event(at, **told) for at, told in opens[start:stop]), key=number + 1)
            told_now += [one[:2] for one in through(known, made) if one[0] != OPEN]
    assert told_now == expected(opens)
