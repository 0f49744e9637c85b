"""One process that runs a callable for the engine: started, asked, ended."""

import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, Final, Self

import trio

from engine.actors.analysts.calls import CallFailed
from engine.model.wire import encode

CHILD: Final = str(Path(__file__).with_name("child.py"))

GRACE_S: Final = 0.5
"""For a process to end by itself once its socket is closed; then it is killed."""

REAP_S: Final = 5.0
"""For a killed process to be gone. Only one that hangs in the kernel takes longer."""

RECEIVE_BYTES: Final = 256 * 1024


class Worker:
    """A process of its own. Made by `start`."""

    def __init__(self, process: trio.Process, stream: trio.SocketStream, max_answer_bytes: int) -> None:
        self._process = process
        self._stream = stream
        self._max_bytes = max_answer_bytes + 1024
        self._received = b""

    @classmethod
    async def start(cls, target: str, properties: dict[str, Any], max_answer_bytes: int, start_s: float) -> Self:
        """A process that has imported the callable.

        Args:
            target: `package.module:function`, importable there as it is here.
            properties: what the callable gets beside the activity.
            max_answer_bytes: of its answers.
            start_s: for it to be ready.

        Raises:
            CallFailed: it could not be started, could not import, or took too long.
        """
        worker: Self | None = None
        is_ready = False
        try:
            worker = await cls._spawn(max_answer_bytes)
            start = {"target": target, "path": sys.path, "properties": properties, "max_answer_bytes": max_answer_bytes}
            with trio.move_on_after(start_s) as scope:
                told = await worker.ask(encode(start))
                if told != b"r":
                    raise CallFailed(told[1:].decode("utf-8", "replace"))
                is_ready = True
                return worker
            assert scope.cancelled_caught
            raise CallFailed(f"{target} was not imported within {start_s:g} s")
        except OSError as error:
            raise CallFailed(f"no process can be started: {error}") from None
        finally:
            if worker is not None and not is_ready:
                await worker.kill()

    @classmethod
    async def _spawn(cls, max_answer_bytes: int) -> Self:
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                process = await trio.lowlevel.open_process(
                    [sys.executable, "-P", CHILD, str(theirs.fileno())],
                    stdin=subprocess.DEVNULL,
                    stdout=2,  # What it prints goes where our log goes.
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,  # Ctrl-C is for the engine, which ends it.
                )
            except BaseException:
                ours.close()
                raise
        return cls(process, trio.SocketStream(trio.socket.from_stdlib_socket(ours)), max_answer_bytes)

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.poll() is None

    async def ask(self, message: bytes) -> bytes:
        """Send one message and wait for the one that comes back. Whoever is interrupted here ends the process.

        Raises:
            CallFailed: the process has ended.
        """
        try:
            await self._stream.send_all(len(message).to_bytes(4, "big") + message)
            return await self._message()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise CallFailed(await self._how_it_ended()) from None

    async def end(self) -> None:
        """Let it end by itself, for a moment; then kill it."""
        with trio.CancelScope(shield=True):
            await self._stream.aclose()
            with trio.move_on_after(GRACE_S):
                await self._process.wait()
            await self.kill()

    async def kill(self) -> None:
        """End it now, whatever it does, and wait until nothing of it is left."""
        with trio.move_on_after(REAP_S, shield=True):
            await trio.aclose_forcefully(self._stream)
            if self.is_alive:
                self._process.kill()
            await self._process.wait()

    async def _message(self) -> bytes:
        data = self._received
        while len(data) < 4 or len(data) < 4 + int.from_bytes(data[:4], "big"):
            if len(data) >= 4 and int.from_bytes(data[:4], "big") > self._max_bytes:
                raise CallFailed("the process sends what is no answer")
            part = await self._stream.receive_some(RECEIVE_BYTES)
            if not part:
                raise CallFailed(await self._how_it_ended())
            data += part
        end = 4 + int.from_bytes(data[:4], "big")
        self._received = data[end:]
        return data[4:end]

    async def _how_it_ended(self) -> str:
        with trio.move_on_after(GRACE_S):
            code = await self._process.wait()
            return f"the process ended by signal {-code}" if code < 0 else f"the process ended with exit code {code}"
        return "the process has closed its socket"
