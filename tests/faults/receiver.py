"""A destination of webhooks that lives in the test, outlives all engines, and is not always well."""

import random
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Receiver:
    """Attributes:
    port: where it listens, on 127.0.0.1.
    bodies: all that came, also what was answered with a failure, by idempotency key.
    """

    def __init__(self, chance: random.Random, answers: tuple[int, ...]) -> None:
        self.answers = answers
        self.bodies: dict[str, list[bytes]] = defaultdict(list)
        self.chance = chance
        self.lock = threading.Lock()
        self.port = 0

    def take(self, key: str, body: bytes) -> int:
        """What it answers."""
        with self.lock:
            self.bodies[key].append(body)
            return self.chance.choice(self.answers)


@contextmanager
def receiving(chance: random.Random, answers: tuple[int, ...] = (200, 200, 204, 503)) -> Iterator[Receiver]:
    """One that listens for as long as the block lasts, and answers with one of these by chance."""
    receiver = Receiver(chance, answers)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            length = int(self.headers["content-length"])
            body = self.rfile.read(length)
            if len(body) < length:
                return  # Who called was killed in the middle of it.
            self.send_response(receiver.take(self.headers["idempotency-key"], body))
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, address: object) -> None:
            """Who called was killed."""

    with Server(("127.0.0.1", 0), Handler) as server:
        receiver.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()
