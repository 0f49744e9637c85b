"""A server before the server: it refuses the first requests or loses their answers, and lets the others through."""

import gzip
import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

import httpx

from engine import Overloaded
from gateway.collect.protocols.segment.replies import refusal
from gateway.collect.reply import Reply
from gateway.errors import RequestError

Fault = Literal["429", "503", "answer lost"]

REFUSED = {
    "429": lambda: refusal(RequestError(429, "too_fast", "this token sends too fast", headers={"retry-after": "1"})),
    "503": lambda: refusal(Overloaded("busy", retry_after_s=1)),
    # What was sent is taken, and its sender does not hear so.
    "answer lost": lambda: refusal(Overloaded("gone", retry_after_s=1)),
}


class Front:
    """Forwards requests.

    Args:
        target: address of the real server.
        fault: what becomes of the first requests.
        faults: of how many.

    Attributes:
        url: where it listens.
        seen: how often each message came, by its id.
        statuses: what was answered, in order.
    """

    def __init__(self, target: str, fault: Fault = "503", faults: int = 0) -> None:
        self._target = target
        self._fault = fault
        self._faults = faults
        self._lock = threading.Lock()
        self.url = ""
        self.seen: Counter[str] = Counter()
        self.statuses: list[int] = []

    def answer(self, path: str, headers: dict[str, str], body: bytes) -> Reply:
        """What a request is answered."""
        plain = gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body
        with self._lock:
            self.seen.update(message["messageId"] for message in json.loads(plain)["batch"])
            is_faulty = self._faults > 0
            self._faults -= 1
        if not is_faulty or self._fault == "answer lost":
            answer = httpx.post(self._target + path, content=body, headers=headers)
            reply = Reply(answer.status_code, tuple(answer.headers.items()), answer.content)
        if is_faulty:
            reply = REFUSED[self._fault]()
        self.statuses.append(reply.status)
        return reply


@contextmanager
def standing_before(front: Front) -> Iterator[Front]:
    """Let it listen, on a free port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            kept = {name.lower(): value for name, value in self.headers.items()}
            kept = {name: value for name, value in kept.items() if name not in ("host", "content-length", "connection")}
            reply = front.answer(self.path, kept, body)
            self.send_response(reply.status)
            for name, value in reply.headers:
                if name not in ("content-length", "date", "server", "connection"):
                    self.send_header(name, value)
            self.send_header("content-length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    front.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield front
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
