"""One epoll for all plain connections, so that a request wakes no task.

To wait in a task for a socket costs a system call to arm it, a wake-up and a pass of the scheduler each time: a third
of what a server that does nothing else spends on a request. Here the sockets stay armed, one task waits for all of
them, and whoever has something is read in its turn. Where the system has no epoll, connections wait by themselves.
"""

import select
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from traceback import format_exc
from typing import Final

import trio

from engine import log

_NOTHING: Final = nullcontext()

MAX_READY: Final = 48
"""Sockets read before others have their turn: a few milliseconds."""


class Poller:
    """Calls back who has something to read.

    Raises:
        OSError: no more files can be opened.
    """

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._readers: dict[int, Callable[[], None]] = {}

    @classmethod
    def where_possible(cls) -> "Poller | None":
        """A poller, or None on systems without epoll."""
        return cls() if hasattr(select, "epoll") else None

    def watch(self, sock: socket.socket, on_readable: Callable[[], None]) -> None:
        """Call back from now on, again and again as long as there is something.

        Args:
            sock: non-blocking.
            on_readable: reads.
        """
        number = sock.fileno()
        if number not in self._readers:
            self._epoll.register(number, select.EPOLLIN)
        self._readers[number] = on_readable

    def forget(self, sock: socket.socket) -> None:
        """Call back no more: while nobody takes what comes, and before a socket is closed."""
        if self._readers.pop(sock.fileno(), None) is not None:
            # Paused by its mask alone, a connection that breaks would still be told, over and over.
            with suppress(OSError):
                self._epoll.unregister(sock.fileno())

    async def run(self, gathering: AbstractContextManager[None] = _NOTHING) -> None:
        """Call back until cancelled.

        Args:
            gathering: entered for each round of calls.
        """
        readers, epoll = self._readers, self._epoll
        with epoll:
            while True:
                await trio.lowlevel.wait_readable(epoll.fileno())
                with gathering:
                    for number, _ in epoll.poll(0, MAX_READY):
                        on_readable = readers.get(number)
                        if on_readable is None:
                            continue  # Closed by one before it in this round.
                        try:
                            on_readable()
                        except Exception:
                            # Supervision is the point here: one connection must not end those of everybody else.
                            log("a connection failed", "error", traceback=format_exc())
