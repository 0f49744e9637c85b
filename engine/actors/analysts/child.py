"""What runs in a worker's process: a script, started by `worker.py`, that knows nothing of the engine.

    python -P child.py <file descriptor>       a socket to the engine; each message is its length, u32, and its bytes

The first message says what to import. Then an activity comes, with no number that is out of range, and one of these
goes back: `o` and the activity, `d` for drop, `f` and the reason of a failure. It ends when the socket does, or the
engine itself: also out of an endless loop.
"""

import importlib
import inspect
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Final

import msgspec

LOOK_AFTER_S: Final = 1.0
"""How often it looks whether the engine is still there."""

READY: Final = b"r"
OK: Final = b"o"
DROPPED: Final = b"d"
FAILED: Final = b"f"


class Start(msgspec.Struct):
    """The first message: what to import, from where, and what it is given with each activity."""

    target: str
    path: list[str]
    properties: dict[str, Any]
    max_answer_bytes: int


def main(descriptor: int) -> None:
    """Work until the other side is gone."""
    # A stop of the service reaches all processes at once; what is on its way is still to be answered.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    with socket.socket(fileno=descriptor) as link:
        first = _receive(link)
        if first is None:
            return
        start = msgspec.json.decode(first, type=Start)
        sys.path[:] = [*start.path, *(one for one in sys.path if one not in start.path)]
        try:
            function = load(start.target)
        except BaseException as error:
            _send(link, FAILED + f"cannot import {start.target}: {error!r}".encode(errors="replace"))
            return
        _send(link, READY)
        more = (start.properties,) if wants_properties(function) else ()
        while (activity := _receive(link)) is not None:
            _send(link, _answer(function, activity, more, start.max_answer_bytes))


def _answer(function: Callable[..., Any], activity: bytes, more: tuple[Any, ...], max_bytes: int) -> bytes:
    try:
        returned = function(msgspec.json.decode(activity), *more)
        if returned == {"status": "drop"}:
            return DROPPED
        if not isinstance(returned, dict):
            drop = '{"status": "drop"}'
            return FAILED + f"it returned {type(returned).__name__}, and no activity: a drop is {drop}".encode()
        text = msgspec.json.encode(returned)
        if len(text) > max_bytes:
            return FAILED + f"the answer is longer than {max_bytes} bytes".encode()
        return OK + text
    except Exception as error:
        return FAILED + repr(error)[:1000].encode(errors="replace")


def load(target: str) -> Callable[..., Any]:
    """The callable.

    Args:
        target: `package.module:function`; what is imported is run.

    Raises:
        ImportError: there is no such thing. Anything else that the module raises comes through.
    """
    module, _, name = target.partition(":")
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        raise ImportError(f"{module} has no function {name}")
    return found  # type: ignore[no-any-return]  # Any callable is meant.


def wants_properties(function: Callable[..., Any]) -> bool:
    """Whether it takes a second argument."""
    try:
        inspect.signature(function).bind({}, {})
    except (TypeError, ValueError):
        return False
    return True


def _receive(link: socket.socket) -> bytes | None:
    head = _exactly(link, 4)
    return None if head is None else _exactly(link, int.from_bytes(head, "big"))


def _exactly(link: socket.socket, size: int) -> bytes | None:
    parts: list[bytes] = []
    while size:
        try:
            part = link.recv(min(size, 1 << 20))
        except OSError:
            return None
        if not part:
            return None
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _send(link: socket.socket, message: bytes) -> None:
    try:
        link.sendall(len(message).to_bytes(4, "big") + message)
    except OSError:
        os._exit(0)


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK_AFTER_S)
    os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]))
