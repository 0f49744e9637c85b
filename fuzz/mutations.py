"""Valid requests, and what becomes of them: a grammar, and the mistakes that parsers fall over."""

import gzip
import random

PATHS = ("/echo", "/of/a%2Fb", "/empty", "/committed", "/slow", "/nowhere", "*", "http://x/echo?a=b", "/echo?a=b&c=d")
METHODS = ("GET", "GET", "HEAD", "POST", "POST", "POST", "OPTIONS", "PUT", "CONNECT", "TRACE")
HEADERS = (
    "Accept: */*",
    "Authorization: token",
    "Connection: close",
    "Connection: keep-alive",
    "Connection: Upgrade",
    "Upgrade: h2c",
    "Expect: 100-continue",
    "Content-Encoding: gzip",
    "Content-Type: application/json",
    "Origin: https://example.org",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: gzip, chunked",
    "Content-Length: 3",
    "Host: y",
    "X-Empty:",
    "X-Spaces: \t a  b \t",
    f"X-Long: {'y' * 900}",
)
SNIPPETS = (
    *(b"\r", b"\n", b"\r\n", b"\r\n\r\n", b"\0", b" ", b"\t", b"\x0b", b":", b",", b";", b"\xff", b"0\r\n\r\n"),
    *(b"chunked", b"Transfer-Encoding: chunked\r\n", b"Content-Length: 5\r\n", b"Content-Length: 0\r\n"),
    *(b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"HTTP/0.9", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
    *(b"ffffffffffffffff\r\n", b"5;a=b\r\n", b"-1", b"0x5", b"Upgrade: websocket\r\nConnection: upgrade\r\n"),
)
TRAILERS = (b"", b"", b"A: b\r\n", b"Host: y\r\n", b"Content-Length: 3\r\n", b"Connection: close\r\n")


def valid_request(chance: random.Random) -> bytes:
    """One request; of its headers, some may not go together."""
    version = chance.choice(["1.1"] * 6 + ["1.0"])
    lines = [f"{chance.choice(METHODS)} {chance.choice(PATHS)} HTTP/{version}", "Host: x"]
    lines += chance.sample(HEADERS[:10], chance.randrange(3))
    if chance.random() < 0.1:
        lines.append(chance.choice(HEADERS))
    body = chance.randbytes(chance.choice([0, 1, 2, 30, 300]))
    if chance.random() < 0.2:
        body = gzip.compress(body, mtime=0)
    kind = chance.random()
    if kind < 0.3:
        lines.append("Transfer-Encoding: chunked")
        data = _chunked(chance, body)
    elif kind < 0.8:
        lines.append(f"Content-Length: {len(body)}")
        data = body
    else:
        data = b""
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + data


def valid_requests(chance: random.Random) -> bytes:
    """A few, one behind the other."""
    return b"".join(valid_request(chance) for _ in range(chance.choice([1, 1, 1, 2, 3, 6])))


def _chunked(chance: random.Random, body: bytes) -> bytes:
    found = b""
    while body:
        size = chance.randint(1, len(body))
        extension = chance.choice([b"", b"", b";a", b";a=b", b';a="b c"'])
        found += b"%x%s\r\n%s\r\n" % (size, extension, body[:size])
        body = body[size:]
    return found + b"0\r\n" + chance.choice(TRAILERS) + b"\r\n"


def mutated(chance: random.Random, data: bytes) -> bytes:
    """With some mistakes, or none."""
    for _ in range(chance.choice([0, 1, 1, 2, 3, 8])):
        at = chance.randrange(len(data) + 1)
        end = min(len(data), at + chance.choice([1, 1, 2, 10, 100]))
        match chance.randrange(6):
            case 0:
                data = data[:at] + data[end:]
            case 1:
                data = data[:at] + chance.choice(SNIPPETS) + data[at:]
            case 2:
                data = data[:at] + chance.choice(SNIPPETS) + data[end:]
            case 3:
                data = data[:at] + bytes([chance.randrange(256)]) + data[at + 1 :]
            case 4:
                data = data[:end] + data[at:]
            case _:
                data = data[:at]
    return data
