"""All analyzers as one: each has its own line, limit and breaker; a dead one keeps nobody else waiting."""

import pytest
import trio
import trio.testing
from msgspec import structs

from engine.actors.analysts.breaker import CLOSED, OPEN
from engine.actors.analysts.callables import check_callables
from engine.actors.analysts.oracle import REST_S, open_analysts
from engine.definitions.defined import Defined
from engine.errors import CallerError
from tests.actors.analysts.asking import QUICK, SAMPLES, callable_of, plugin_of, question, told
from tests.actors.analysts.plugins import FakePlugin, echo, http, listening

REFUSED = http(b"what it was asked", "500 Internal Server Error")


def quiet(name, what):
    """Told when a breaker opens."""


class TestFast:
    async def test_it_is_answered_at_once(self):
        async with open_analysts(QUICK, quiet) as analysts:
            analyzer = callable_of("renaming", fast=True)
            answer = analysts.at_once(question(analyzer))
            assert told(answer)["$events"][0]["$event_name"] == "hello"
            assert analysts.gauges() == {"analyzer_1_7_calls": 1, "analyzer_1_7_failures": 0}

    @pytest.mark.parametrize(
        ("name", "reason"),
        [
            ("raising", "ValueError('poison')"),
            ("leaving", "SystemExit(3)"),
            ("forgetful", "it returned NoneType, and no activity: a drop is {'status': 'drop'}"),
            ("nowhere", "has no function nowhere"),
        ],
    )
    async def test_what_goes_wrong_is_a_failure(self, name, reason):
        async with open_analysts(QUICK, quiet) as analysts:
            answer = analysts.at_once(question(callable_of(name, fast=True)))
            assert answer.outcome == "failed"
            assert reason in answer.reason

    async def test_drop(self):
        async with open_analysts(QUICK, quiet) as analysts:
            assert analysts.at_once(question(callable_of("dropping", fast=True))).outcome == "drop"

    def test_what_cannot_be_imported_is_found_when_it_is_applied(self):
        check_callables(Defined(datamart=1, analyzers=(callable_of("nowhere"), callable_of("alone", fast=True))))
        with pytest.raises(CallerError) as error:
            check_callables(Defined(datamart=1, analyzers=(callable_of("alone"), callable_of("nowhere", fast=True))))
        assert (error.value.code, error.value.path) == ("bad_definition", "analyzers[1].callable")

    @pytest.mark.parametrize("module", ["nowhere", f"{SAMPLES}.more", "tests.nowhere", "nowhere.at.all"])
    def test_a_module_that_is_not_there_is_found_when_it_is_applied(self, module):
        found = Defined(datamart=1, analyzers=(callable_of("alone"), callable_of("alone", callable=f"{module}:f")))
        with pytest.raises(CallerError, match="there is no module") as error:
            check_callables(found)
        assert (error.value.code, error.value.path) == ("bad_definition", "analyzers[1].callable")

    def test_one_that_is_there_is_not_imported(self, tmp_path, monkeypatch):
        monkeypatch.syspath_prepend(tmp_path)
        (tmp_path / "package_of_it").mkdir()
        for name in ("__init__", "module"):
            (tmp_path / "package_of_it" / f"{name}.py").write_text("raise AssertionError('it was imported')")
        for name in ("package_of_it.module:f", "package_of_it:f", "os.path:join", "__main__:f"):
            check_callables(Defined(datamart=1, analyzers=(callable_of("alone", callable=name),)))


class TestLines:
    async def test_no_more_calls_are_open_than_allowed_and_the_line_can_be_seen(self):
        gate = trio.Event()

        async def later(asked):
            await gate.wait()
            return echo(asked)

        async with listening(FakePlugin(later)) as fake, open_analysts(QUICK, quiet) as analysts:
            asked = question(plugin_of(fake.url, max_calls=3))
            async with trio.open_nursery() as nursery:
                for _ in range(10):
                    nursery.start_soon(analysts.ask, asked)
                with trio.fail_after(30):
                    while fake.open_now < 3:
                        await trio.lowlevel.checkpoint()
                gauges = analysts.gauges()
                assert (gauges["analyzer_1_7_open_calls"], gauges["analyzer_1_7_open_calls_max"]) == (3, 3)
                assert gauges["analyzer_1_7_waiting"] == 7
                gate.set()
            assert (fake.most_open, len(fake.asked)) == (3, 10)

    async def test_beyond_its_line_one_fails_at_once_and_is_not_asked(self):
        gate, told_of = trio.Event(), []
        settings = structs.replace(QUICK, max_waiting_each=5)

        async def later(asked):
            await gate.wait()
            return echo(asked)

        def report(name, what):
            told_of.append((name, what))

        async with listening(FakePlugin(later)) as fake, open_analysts(settings, report) as analysts:
            slow, other = question(plugin_of(fake.url, max_calls=2)), question(plugin_of(fake.url, id="8"))
            answers = []

            async def ask():
                answers.append(await analysts.ask(slow))

            async with trio.open_nursery() as nursery:
                for _ in range(5):
                    assert analysts.at_once(slow) is None
                    nursery.start_soon(ask)
                    await trio.testing.wait_all_tasks_blocked()
                for _ in range(30):
                    answer = analysts.at_once(slow)
                    assert (answer.outcome, answer.reason) == ("failed", "overloaded")
                assert analysts.at_once(other) is None, "the line of another one is its own"
                found = analysts.gauges()
                names = ("open_calls", "waiting", "held", "held_max", "overloaded", "failures", "breaker")
                assert [found[f"analyzer_1_7_{name}"] for name in names] == [2, 3, 5, 5, 30, 0, CLOSED]
                gate.set()
            assert [one.outcome for one in answers] == ["ok"] * 5
            assert analysts.at_once(slow) is None
            assert told_of == [("analyzer 7", "overloaded: 5 wait for it, others fail")]

    async def test_room_is_made_by_who_has_waited_longest_in_the_longest_line(self):
        gate = trio.Event()

        async def later(asked):
            await gate.wait()
            return echo(asked)

        async with listening(FakePlugin(later)) as fake, open_analysts(QUICK, quiet) as analysts:
            answers = []

            async def ask(id, number):
                answer = await analysts.ask(question(plugin_of(fake.url, id=id, max_calls=1)))
                answers.append((id, number, answer.reason))

            analysts.relieve()
            async with trio.open_nursery() as nursery:
                for id, count in (("7", 3), ("8", 5)):
                    for number in range(count):
                        nursery.start_soon(ask, id, number)
                        await trio.testing.wait_all_tasks_blocked()
                for _ in range(2):
                    analysts.relieve()
                    await trio.testing.wait_all_tasks_blocked()
                assert answers == [("8", 1, "overloaded"), ("8", 2, "overloaded")]
                gate.set()
            assert len(answers) == 8
            assert len(fake.asked) == 6

    async def test_the_breaker_opens_is_told_and_finds_out(self, monkeypatch):
        fake, told_of = FakePlugin(lambda asked: REFUSED), []
        settings = structs.replace(QUICK, breaker_pause_s=0.1)
        async with listening(fake), open_analysts(settings, lambda *what: told_of.append(what)) as analysts:
            asked = question(plugin_of(fake.url))
            for _ in range(3):
                assert analysts.at_once(asked) is None
                assert (await analysts.ask(asked)).outcome == "failed"
            assert analysts.gauges()["analyzer_1_7_breaker"] == OPEN
            assert told_of == [("analyzer 7", "paused for 0.1 s: HTTP 500")]
            paused = analysts.at_once(asked)
            assert paused.reason == "it is paused, as it failed too often in a row"
            assert len(fake.asked) == 3, "nobody is asked meanwhile"
            await trio.sleep(0.15)
            fake.answer = echo
            assert analysts.at_once(asked) is None
            assert (await analysts.ask(asked)).outcome == "ok"
            assert analysts.gauges()["analyzer_1_7_breaker"] == CLOSED

    async def test_those_in_the_line_of_a_dead_one_fail_when_its_breaker_opens(self):
        fake = FakePlugin(lambda asked: REFUSED)
        async with listening(fake), open_analysts(QUICK, quiet) as analysts:
            asked = question(plugin_of(fake.url, max_calls=1))
            async with trio.open_nursery() as nursery:
                for _ in range(50):
                    nursery.start_soon(analysts.ask, asked)
            assert len(fake.asked) == 3

    async def test_another_definition_is_another_analyst_and_calls_of_the_old_one_end(self):
        async with listening(FakePlugin()) as fake, open_analysts(QUICK, quiet) as analysts:
            old, new = plugin_of(fake.url), plugin_of(fake.url, name="renamed")
            await analysts.ask(question(old))
            await analysts.ask(question(structs.replace(old)))
            assert analysts.gauges()["analyzer_1_7_calls"] == 2, "an equal one is the same one"
            await analysts.ask(question(new))
            assert analysts.gauges()["analyzer_1_7_calls"] == 1
            assert len(analysts._leaving) == 1


async def test_who_is_not_asked_for_long_rests(autojump_clock):
    async with open_analysts(QUICK, quiet) as analysts:
        asked = question(plugin_of("http://plugin"))
        analyst = analysts._analyst(asked)
        rested = []

        async def rest():
            rested.append(trio.current_time())

        analyst._caller.rest = rest
        begin = trio.current_time()
        await trio.sleep(REST_S + 70)
        assert rested
        assert rested[0] - begin >= REST_S
