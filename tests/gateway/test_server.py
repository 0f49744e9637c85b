"""What the process does when the engine breaks, and that it ends even when the loop does not."""

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

import gateway.cli
import gateway.server
from engine import BadSettings, StoreBroken, StoreLocked
from gateway.listen import Listener, host_and_port
from tests.gateway.engines import Nobody, settings_for_tests

SETTINGS = settings_for_tests(collect__port=0, api__port=0)


class Breaking(Nobody):
    """An engine that does what its nursery does."""

    def __init__(self, nursery: trio.Nursery) -> None:
        super().__init__()
        self.start_soon = nursery.start_soon


async def test_a_broken_engine_ends_the_process(monkeypatch: pytest.MonkeyPatch):
    @asynccontextmanager
    async def breaking(settings: Any) -> AsyncIterator[Any]:
        async with trio.open_nursery() as nursery:
            yield Breaking(nursery)
            raise AssertionError("nothing asked it to stop")

    async def break_soon() -> None:
        raise StoreBroken("the disk is gone")

    urls: list[str] = []

    def ready(engine: Any, collect: str, api: str) -> None:
        urls.extend((collect, api))
        engine.start_soon(break_soon)

    monkeypatch.setattr(gateway.server, "open_engine", breaking)
    monkeypatch.setattr(gateway.server, "_tune_gc", lambda: None)
    with pytest.raises(ExceptionGroup) as caught, trio.fail_after(10):
        await gateway.server.run(SETTINGS, ready)
    assert caught.group_contains(StoreBroken)
    assert all(url.startswith("http://127.0.0.1:") for url in urls)
    assert len(urls) == 2
    timers = [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]
    assert all(timer.finished.is_set() for timer in timers), "the test run would end in two seconds"


def test_the_hard_stop_comes_from_a_thread(monkeypatch: pytest.MonkeyPatch):
    ended = threading.Event()
    codes: list[int] = []

    def note(code: int) -> None:
        codes.append(code)
        ended.set()

    monkeypatch.setattr(gateway.server, "_exit_now", note)
    with gateway.server._HardStop() as end:
        end.within(60, 3)
        end.within(0.01, 1)
        assert ended.wait(10)
    assert codes == [1]
    with pytest.raises(KeyError), gateway.server._HardStop() as end, end.if_it_fails(60, 1):
        raise KeyError


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (StoreBroken("gone"), 1),
        (StoreLocked("busy"), 2),
        (BadSettings("no"), 2),
        (ExceptionGroup("", [StoreLocked("busy"), ExceptionGroup("", [StoreBroken("gone")])]), 1),
    ],
)
def test_an_error_of_ours_is_one_line_and_a_code(
    error: Exception, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def fail(*args: Any, **more: Any) -> None:
        raise error

    monkeypatch.setattr(gateway.cli, "command_line", lambda arguments: fail)
    assert gateway.cli.run(["stats"]) == code
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert err.startswith("sojourn: ")


@pytest.mark.parametrize("error", [RuntimeError("ours"), ExceptionGroup("", [StoreBroken("x"), RuntimeError("ours")])])
def test_a_fault_that_is_not_known_keeps_its_traceback(error: Exception, monkeypatch: pytest.MonkeyPatch):
    def fail(*args: Any, **more: Any) -> None:
        raise error

    monkeypatch.setattr(gateway.cli, "command_line", lambda arguments: fail)
    with pytest.raises(type(error)):
        gateway.cli.run(["stats"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [("127.0.0.1:80", ("127.0.0.1", 80)), ("localhost:0", ("localhost", 0)), ("[::1]:8080", ("::1", 8080))],
)
def test_an_address(text: str, expected: tuple[str, int]):
    assert host_and_port(text) == expected


@pytest.mark.parametrize("text", ["", "80", ":80", "x:", "x:y", "x:65536", "x:-1", "::1:80", "[::1]", "x:٣"])
def test_what_is_no_address(text: str):
    with pytest.raises(BadSettings):
        host_and_port(text)


def test_an_address_of_another_machine_cannot_be_bound():
    with pytest.raises(BadSettings, match="cannot listen"):
        Listener("192.0.2.1", 0)
