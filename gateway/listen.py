"""Where and how our planes listen: the sockets; for the API hypercorn's configuration, its log lines among ours."""

import socket
from contextlib import ExitStack
from traceback import format_exc
from typing import Any

from hypercorn.config import Config
from hypercorn.logging import Logger
from hypercorn.typing import ResponseSummary, WWWScope

from engine import BadSettings, log

KEEP_ALIVE_S = 15.0
"""An idle connection, or one with half a header, is closed after so long."""

READ_TIMEOUT_S = 60
"""A connection on which nothing arrives is given up after so long, also while it waits for its answer: longer than the
slowest handler (`async=false` waits 10 s)."""

MAX_REQUESTS_PER_CONNECTION = 1_000_000
"""Senders keep their connections; closing each after hypercorn's 1000 requests only makes them reconnect."""


class Listener:
    """A bound address that does not listen yet.

    Bound before anything else happens: a port that is taken is found out while the store is still untouched.

    Args:
        host: a name or an address.
        port: 0 picks a free one.
        scheme: of its addresses.

    Raises:
        BadSettings: the address cannot be bound.
    """

    def __init__(self, host: str, port: int, *, scheme: str = "http") -> None:
        try:
            family, kind, proto, _, address = socket.getaddrinfo(
                host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            self._socket = socket.socket(family, kind, proto)
            with ExitStack() as unless_bound:
                unless_bound.callback(self._socket.close)
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._socket.bind(address)
                unless_bound.pop_all()
        except OSError as error:
            raise BadSettings(f"cannot listen on {host}:{port}: {error.strerror or error}") from None
        self.url = f"{scheme}://{f'[{host}]' if ':' in host else host}:{self._socket.getsockname()[1]}"

    def socket(self) -> socket.socket:
        """The bound socket, for a listener of our own, which closes it."""
        return self._socket

    def config(self, grace_s: float) -> Config:
        """hypercorn's configuration for this address; the socket becomes hypercorn's.

        Args:
            grace_s: at a stop, seconds for requests in flight.
        """
        config = Config()
        wanted: dict[str, Any] = {
            "bind": [f"fd://{self._socket.detach()}"],
            "backlog": 1024,
            "graceful_timeout": grace_s,
            "include_server_header": False,
            "keep_alive_timeout": KEEP_ALIVE_S,
            "keep_alive_max_requests": MAX_REQUESTS_PER_CONNECTION,
            "logger_class": _Log,
            "read_timeout": READ_TIMEOUT_S,
        }
        for name, value in wanted.items():
            # hypercorn takes a misspelt name silently.
            assert hasattr(config, name), name
            setattr(config, name, value)
        return config

    def close(self) -> None:
        """Give the address up, unless hypercorn has it."""
        self._socket.close()


def host_and_port(text: str) -> tuple[str, int]:
    """The parts of `HOST:PORT`, or of `[::1]:PORT`.

    Raises:
        BadSettings: it is neither.
    """
    host, colon, port = text.rpartition(":")
    is_port = port.isascii() and port.isdecimal() and len(port) <= 5 and int(port) <= 65535
    is_host = bool(host) and (":" not in host or (host.startswith("[") and host.endswith("]")))
    if not (colon and is_port and is_host):
        raise BadSettings(f"{text!r} is not HOST:PORT, such as 127.0.0.1:8080 or [::1]:0")
    return host.strip("[]"), int(port)


class _Log(Logger):
    """Passes on what hypercorn has to say; requests are counted, not logged."""

    def __init__(self, config: Config) -> None:
        """Opens no file and configures no `logging`, which hypercorn's own does."""

    async def access(self, request: WWWScope, response: ResponseSummary | None, request_time: float) -> None:
        """Nothing."""

    async def critical(self, message: str, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - as inherited
        log("http server", "error", message=message % args)

    async def error(self, message: str, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - as inherited
        log("http server", "error", message=message % args)

    async def warning(self, message: str, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - as inherited
        log("http server", "warning", message=message % args)

    async def info(self, message: str, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - as inherited
        log("http server", "debug", message=message % args)

    async def debug(self, message: str, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - as inherited
        log("http server", "debug", message=message % args)

    async def exception(self, message: str, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - as inherited
        log("http server", "error", message=message % args, traceback=format_exc())

    async def log(self, level: int, message: str, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - as inherited
        log("http server", "debug", message=message % args)
