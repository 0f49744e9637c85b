"""A small HTTP server on Trio, which remembers what it was sent and answers as it is told."""

from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import trio


@dataclass
class Received:
    """One request."""

    target: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Server:
    """`answer` is a function of a request that gives the bytes of an answer, or None for none ever."""

    answer: object = None
    received: list[Received] = field(default_factory=list)
    connections: int = 0
    port: int = 0

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, stream):
        self.connections += 1
        data = b""
        while True:
            while b"\r\n\r\n" not in data:
                more = await stream.receive_some()
                if not more:
                    return
                data += more
            head, _, data = data.partition(b"\r\n\r\n")
            first, *lines = head.decode().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            while len(data) < int(headers.get("content-length", 0)):
                data += await stream.receive_some()
            length = int(headers.get("content-length", 0))
            body, data = data[:length], data[length:]
            request = Received(first.split()[1], headers, body)
            self.received.append(request)
            answer = self.answer(request) if self.answer else response(200)
            if answer is None:
                await trio.sleep_forever()
            await stream.send_all(answer)


def response(status, body=b"", **headers):
    head = {"content-length": len(body)} | {name.replace("_", "-"): value for name, value in headers.items()}
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items() if value is not None)
    return f"HTTP/1.1 {status} Any\r\n{lines}\r\n".encode() + body


@asynccontextmanager
async def serving(answer=None):
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        server = Server(answer, port=listeners[0].socket.getsockname()[1])

        async def handle(stream):
            with suppress(trio.BrokenResourceError):
                await server.serve(stream)

        nursery.start_soon(trio.serve_listeners, handle, listeners)
        yield server
        nursery.cancel_scope.cancel()
