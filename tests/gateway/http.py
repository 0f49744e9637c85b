"""A minimal HTTP client on a Trio stream, for tests that send what no client library would."""

from dataclasses import dataclass

import trio


@dataclass(frozen=True)
class Answer:
    """One answer."""

    status: int
    headers: dict[str, str]
    body: bytes


async def read_answer(stream: trio.abc.ReceiveStream) -> Answer:
    """Read one answer with a content-length; the stream may stay open."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = await stream.receive_some()
        assert more, f"closed in the head: {data!r}"
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    length = int(headers.get("content-length", "0"))
    while len(body) < length:
        more = await stream.receive_some()
        assert more, f"closed in the body: {body!r}"
        body += more
    return Answer(int(first.split(" ")[1]), headers, body)
