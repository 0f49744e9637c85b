"""Requests that two parsers may read differently, and what ours makes of them.

Each case is followed by `GET /smuggled`. Its statuses say what is answered: where the last is that of `/smuggled`
(`BEHIND`) the case is an ordinary request and the connection goes on; everything else ends the connection, and nothing
behind it may be taken for a request.
(RFC 9112, 11.2 request smuggling; 6.3 message length; 5.1 and 5.2 field lines; 2.2 line ends; 7.1 chunked)
"""

from typing import Final

BEHIND: Final = 299
"""Status of `/smuggled`, which nothing else has."""

SMUGGLED: Final = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"

OK: Final = (200, BEHIND)
"""An ordinary request."""
LAST: Final = (200,)
"""Answered, and the connection ends."""
BAD: Final = (400,)

_CHUNKED: Final = "Transfer-Encoding: chunked"
_END: Final = b"0\r\n\r\n"


def head(*lines: str, start: str = "POST /echo HTTP/1.1", host: str = "Host: x") -> bytes:
    """A head of these header lines."""
    return "\r\n".join([start, *([host] if host else []), *lines, "", ""]).encode("latin-1")


def get(*lines: str, start: str = "GET /echo HTTP/1.1", host: str = "Host: x") -> bytes:
    """A head of a request without body."""
    return head(*lines, start=start, host=host)


def chunks(body: bytes) -> bytes:
    """A chunked request with this on the wire as its body."""
    return head(_CHUNKED) + body


LENGTHS = {
    "one length": (head("Content-Length: 1") + b"x", OK),
    "a length with spaces around it": (head("Content-Length: \t 1 \t") + b"x", OK),
    "a length with zeros before it": (head("Content-Length: 0001") + b"x", OK),
    "a length of nothing but zeros": (head("Content-Length: " + "0" * 900), OK),
    "the same length twice": (head("Content-Length: 1", "Content-Length: 1") + b"x", BAD),
    "two lengths": (head("Content-Length: 1", "Content-Length: 36") + b"x", BAD),
    "a list of the same length": (head("Content-Length: 1, 1") + b"x", BAD),
    "a list of lengths": (head("Content-Length: 1, 36") + b"x", BAD),
    "a length with a plus": (head("Content-Length: +1") + b"x", BAD),
    "a length below zero": (head("Content-Length: -1") + b"x", BAD),
    "a hexadecimal length": (head("Content-Length: 0x1") + b"x", BAD),
    "a length in other digits": (head("Content-Length: \xb2") + b"x", BAD),
    "a length with a point": (head("Content-Length: 1.0") + b"x", BAD),
    "a length with an underscore": (head("Content-Length: 1_0") + b"x" * 10, BAD),
    "an empty length": (head("Content-Length:"), BAD),
    "a length of two numbers": (head("Content-Length: 1 1") + b"x", BAD),
    "a length beyond 64 bits": (head("Content-Length: 18446744073709551617") + b"x", BAD),
    "a length just within 64 bits": (head("Content-Length: 18446744073709551615") + b"x", (413,)),
    "a length of a GET": (get("Content-Length: 36") + b"x" * 36, OK),
    "a length with a space before its colon": (head("Content-Length : 1") + b"x", BAD),
}

TOGETHER = {
    "a length, then chunked": (head("Content-Length: 5", _CHUNKED) + _END, BAD),
    "chunked, then a length": (head(_CHUNKED, "Content-Length: 5") + _END, BAD),
    "chunked and a length of nothing": (head(_CHUNKED, "Content-Length: 0") + _END, BAD),
    "no coding and a length": (head("Transfer-Encoding:", "Content-Length: 5") + _END, BAD),
    "identity and a length": (head("Transfer-Encoding: identity", "Content-Length: 5") + _END, (400, 501)),
    "a coding in another header": (head("Transfer_Encoding: chunked", "Content-Length: 5") + _END, OK),
}

CODINGS = {
    "chunked": (head(_CHUNKED) + _END, OK),
    "chunked, in any case": (head("tRANSFER-eNCODING: CHUNKED") + _END, OK),
    "chunked behind a tab": (head("Transfer-Encoding:\tchunked") + _END, OK),
    "chunked of a GET": (get(_CHUNKED) + _END, OK),
    "chunked twice": (head(_CHUNKED, _CHUNKED) + _END, BAD),
    "chunked, then identity": (head(_CHUNKED, "Transfer-Encoding: identity") + _END, BAD),
    "identity, then chunked": (head("Transfer-Encoding: identity", _CHUNKED) + _END, (501,)),
    "chunked, identity": (head("Transfer-Encoding: chunked, identity") + _END, BAD),
    "chunked, chunked": (head("Transfer-Encoding: chunked, chunked") + _END, (400, 501)),
    "gzip, chunked": (head("Transfer-Encoding: gzip, chunked") + _END, (501,)),
    "gzip": (head("Transfer-Encoding: gzip") + _END, (501,)),
    "no coding": (head("Transfer-Encoding:") + _END, BAD),
    "chunked behind a vertical tab": (head("Transfer-Encoding: \x0bchunked") + _END, BAD),
    "chunked before a vertical tab": (head("Transfer-Encoding: chunked\x0b") + _END, BAD),
    "chunked before a form feed": (head("Transfer-Encoding: chunked\x0c") + _END, BAD),
    "chunked in quotes": (head('Transfer-Encoding: "chunked"') + _END, (501,)),
    "xchunked": (head("Transfer-Encoding: xchunked") + _END, (501,)),
    "chunkedx": (head("Transfer-Encoding: chunkedx") + _END, (501,)),
    "chunked with a parameter": (head("Transfer-Encoding: chunked;q=1") + _END, (501,)),
    "a comma, chunked": (head("Transfer-Encoding: ,chunked") + _END, (501,)),
    "chunked, a comma": (head("Transfer-Encoding: chunked,") + _END, BAD),
    "chunked and high bytes": (head("Transfer-Encoding: chunked\xa0") + _END, (400, 501)),
    "chunked with a space before the colon": (head("Transfer-Encoding : chunked") + _END, BAD),
    "chunked in a folded line": (head("Transfer-Encoding:", " chunked") + _END, BAD),
    "chunked in HTTP/1.0": (head(_CHUNKED, start="POST /echo HTTP/1.0") + _END, BAD),
    "chunked with a length in HTTP/1.0": (
        head(_CHUNKED, "Content-Length: 5", start="POST /echo HTTP/1.0") + _END,
        BAD,
    ),
}

LINE_ENDS = {
    "line feeds only": (b"GET /echo HTTP/1.1\nHost: x\n\n", BAD),
    "a line feed behind the request line": (b"GET /echo HTTP/1.1\nHost: x\r\n\r\n", BAD),
    "a line feed behind a header": (b"GET /echo HTTP/1.1\r\nHost: x\nA: b\r\n\r\n", BAD),
    "a line feed behind the last header": (b"GET /echo HTTP/1.1\r\nHost: x\n\r\n", BAD),
    "a line feed for the empty line": (b"GET /echo HTTP/1.1\r\nHost: x\r\n\n", BAD),
    "a carriage return behind the request line": (b"GET /echo HTTP/1.1\rHost: x\r\n\r\n", BAD),
    "a carriage return in a header": (b"GET /echo HTTP/1.1\r\nHost: x\rA: b\r\n\r\n", BAD),
    "two carriage returns": (b"GET /echo HTTP/1.1\r\nHost: x\r\r\n\r\n", BAD),
    "a carriage return for the empty line": (b"GET /echo HTTP/1.1\r\nHost: x\r\n\rA: b\r\n\r\n", BAD),
    "a line feed in a header": (b"GET /echo HTTP/1.1\r\nHost: x\r\nA: b\nTransfer-Encoding: chunked\r\n\r\n", BAD),
    "a folded header": (get("A: b", " c"), BAD),
    "a header folded by a tab": (get("A: b", "\tc"), BAD),
    "a folded first header": (b"GET /echo HTTP/1.1\r\n Host: x\r\n\r\n", BAD),
    "an empty line before the request": (b"\r\n" + get(), OK),
}

FIELDS = {
    "a space before a colon": (get("A : b"), BAD),
    "a tab before a colon": (get("A\t: b"), BAD),
    "a header without a colon": (get("abc"), BAD),
    "a header without a name": (get(": b"), BAD),
    "a name with a space": (get("A B: c"), BAD),
    "a name with a high byte": (get("A\xe9: c"), BAD),
    "a name in quotes": (get('"A": c'), BAD),
    "NUL in a value": (get("A: b\0c"), BAD),
    "NUL in a name": (get("A\0: b"), BAD),
    "a control character in a value": (get("A: b\x01"), BAD),
    "DEL in a value": (get("A: b\x7f"), BAD),
    "high bytes in a value": (get("A: \xe9\xff"), OK),
    "a tab in a value": (get("A: b\tc"), OK),
    "an empty value": (get("A:"), OK),
    "no host": (get(host=""), BAD),
    "an empty host": (get(host="Host:"), OK),
    "two hosts": (get("Host: y"), BAD),
    "the same host twice": (get("Host: x"), BAD),
    "two hosts in HTTP/1.0": (get("Host: y", start="GET /echo HTTP/1.0"), BAD),
    "no host in HTTP/1.0": (get(start="GET /echo HTTP/1.0", host=""), LAST),
    "content-encoding twice": (head(*["Content-Encoding: gzip"] * 2, "Content-Length: 1") + b"x", OK),
    "content-encoding three times": (
        head(*["Content-Encoding: gzip"] * 3, "Content-Length: 1") + b"x",
        (415, BEHIND),
    ),
}

REQUEST_LINES = {
    "HTTP/0.9": (b"GET /echo\r\n", BAD),
    "HTTP/0.9 and an empty line": (b"GET /echo\r\n\r\n", (505,)),
    "HTTP/0.9 by name": (get(start="GET /echo HTTP/0.9"), (505,)),
    "HTTP/1.0": (get(start="GET /echo HTTP/1.0"), LAST),
    "HTTP/1.0 that stays": (get("Connection: keep-alive", start="GET /echo HTTP/1.0"), OK),
    "HTTP/1.2": (get(start="GET /echo HTTP/1.2"), BAD),
    "HTTP/1.10": (get(start="GET /echo HTTP/1.10"), BAD),
    "HTTP/2.0": (get(start="GET /echo HTTP/2.0"), (505,)),
    "HTTP/11": (get(start="GET /echo HTTP/11"), BAD),
    "the preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", BAD),
    "http in lower case": (get(start="GET /echo http/1.1"), BAD),
    "a method in lower case": (get(start="get /echo HTTP/1.1"), BAD),
    "an unknown method": (get(start="BREW /echo HTTP/1.1"), BAD),
    "a method of others": (get(start="PROPFIND /echo HTTP/1.1"), (405, BEHIND)),
    "RTSP": (get(start="DESCRIBE /echo RTSP/1.0"), (405,)),
    "a space before the method": (b" " + get(), BAD),
    "a tab for a space": (get(start="GET\t/echo HTTP/1.1"), BAD),
    "a space behind the version": (get(start="GET /echo HTTP/1.1 "), BAD),
    "a space in the target": (get(start="GET /echo /b HTTP/1.1"), BAD),
    "a tab in the target": (get(start="GET /echo\tb HTTP/1.1"), BAD),
    "NUL in the target": (get(start="GET /echo\0 HTTP/1.1"), BAD),
    "a high byte in the target": (get(start="GET /echo\xe9 HTTP/1.1"), BAD),
    "no target": (get(start="GET HTTP/1.1"), BAD),
    "an absolute target": (get(start="GET http://y/echo?a=b HTTP/1.1"), OK),
    "an absolute target without a path": (get(start="GET http://y HTTP/1.1"), (404, BEHIND)),
    "a target of another scheme": (get(start="GET ftp://y/echo HTTP/1.1"), (404, BEHIND)),
    "a star": (get(start="OPTIONS * HTTP/1.1"), (404, BEHIND)),
    "a star of a GET": (get(start="GET * HTTP/1.1"), (404, BEHIND)),
    "CONNECT": (get(start="CONNECT x:80 HTTP/1.1"), (405,)),
    "CONNECT with a body": (get("Content-Length: 3", start="CONNECT x:80 HTTP/1.1") + b"abc", (405,)),
    "CONNECT of a path": (get(start="CONNECT /echo HTTP/1.1"), (405,)),
    "TRACE": (get(start="TRACE /echo HTTP/1.1"), (405, BEHIND)),
    "an answer": (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", BAD),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", BAD),
}

ENDS = {
    "close": (get("Connection: close"), LAST),
    "close in a list": (get("Connection: TE, close"), LAST),
    "close and keep-alive": (get("Connection: keep-alive, close"), LAST),
    "Upgrade to HTTP/2": (
        get("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk"),
        LAST,
    ),
    "Upgrade to HTTP/2 with a body": (head("Connection: Upgrade", "Upgrade: h2c", "Content-Length: 3") + b"abc", LAST),
    "Upgrade to HTTP/2 with chunks": (
        head("Connection: Upgrade", "Upgrade: h2c", _CHUNKED) + b"3\r\nabc\r\n" + _END,
        LAST,
    ),
    "Upgrade to websockets": (get("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"), LAST),
    "Upgrade in HTTP/1.0": (get("Connection: Upgrade", "Upgrade: h2c", start="GET /echo HTTP/1.0"), LAST),
    "Upgrade that is not meant for us": (get("Upgrade: websocket"), OK),
    "Upgrade with two lengths": (
        head("Connection: Upgrade", "Upgrade: h2c", "Content-Length: 1", "Content-Length: 2") + b"ab",
        BAD,
    ),
}

CHUNKS = {
    "chunks": (chunks(b"3\r\nabc\r\n2\r\nde\r\n" + _END), OK),
    "a chunk in upper case": (chunks(b"A\r\n0123456789\r\n" + _END), OK),
    "an extension": (chunks(b"3;a=b\r\nabc\r\n" + _END), OK),
    "an extension in quotes": (chunks(b'3;a="b;c"\r\nabc\r\n' + _END), OK),
    "an extension with a line feed": (chunks(b"3;a\nabc\r\n" + _END), BAD),
    "an extension with a line feed in quotes": (chunks(b'3;a="b\n"\r\nabc\r\n' + _END), BAD),
    "an extension with a carriage return": (chunks(b"3;a\rb\r\nabc\r\n" + _END), BAD),
    "an extension behind a space": (chunks(b"3 ;a\r\nabc\r\n" + _END), BAD),
    "an extension of the last chunk": (chunks(b"3\r\nabc\r\n0;a=b\r\n\r\n"), OK),
    "a space behind the size": (chunks(b"3 \r\nabc\r\n" + _END), BAD),
    "a space before the size": (chunks(b" 3\r\nabc\r\n" + _END), BAD),
    "a size with 0x": (chunks(b"0x3\r\nabc\r\n" + _END), BAD),
    "a size below zero": (chunks(b"-3\r\nabc\r\n" + _END), BAD),
    "a size with a plus": (chunks(b"+3\r\nabc\r\n" + _END), BAD),
    "a size with an underscore": (chunks(b"1_0\r\n" + b"a" * 16 + b"\r\n" + _END), BAD),
    "a size beyond 64 bits": (chunks(b"10000000000000003\r\nabc\r\n" + _END), BAD),
    "a size that is no number": (chunks(b"g\r\nabc\r\n" + _END), BAD),
    "no size": (chunks(b"\r\nabc\r\n" + _END), BAD),
    "a size with zeros before it": (chunks(b"0000000003\r\nabc\r\n" + _END), OK),
    "a size that ends with a line feed": (chunks(b"3\nabc\r\n" + _END), BAD),
    "a chunk that ends with a line feed": (chunks(b"3\r\nabc\n" + _END), BAD),
    "a chunk that is longer than its size": (chunks(b"3\r\nabcd\r\n" + _END), BAD),
    "a chunk that is shorter than its size": (chunks(b"4\r\nabc\r\n" + _END), BAD),
    "a chunk without an end": (chunks(b"3\r\nabc" + _END), BAD),
    "a last chunk that ends with a line feed": (chunks(b"3\r\nabc\r\n0\r\n\n"), BAD),
    "two last chunks": (chunks(_END + _END), (200, 400)),
    "trailers": (chunks(b"0\r\nA: b\r\nC: d\r\n\r\n"), OK),
    "a length in the trailers": (chunks(b"0\r\nContent-Length: 36\r\n\r\n"), BAD),
    "chunked in the trailers": (chunks(b"0\r\nTransfer-Encoding: chunked\r\n\r\n"), BAD),
    "a host in the trailers": (chunks(b"0\r\nHost: evil\r\n\r\n"), OK),
    "close in the trailers": (chunks(b"0\r\nConnection: close\r\n\r\n"), LAST),
    "Upgrade in the trailers": (chunks(b"0\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n"), OK),
    "Expect in the trailers": (chunks(b"0\r\nExpect: 100-continue\r\n\r\n"), OK),
    "a folded trailer": (chunks(b"0\r\nA: b\r\n c\r\n\r\n"), BAD),
    "a trailer with a line feed": (chunks(b"0\r\nA: b\nC: d\r\n\r\n"), BAD),
}

EXPECTATIONS = {
    "100-continue with its body": (head("Expect: 100-continue", "Content-Length: 1") + b"x", OK),
    "100-continue twice": (head(*["Expect: 100-continue"] * 2, "Content-Length: 1") + b"x", (417,)),
    "another expectation": (head("Expect: the-best", "Content-Length: 1") + b"x", (417,)),
    "no expectation": (head("Expect:", "Content-Length: 1") + b"x", (417,)),
    "100-continue of HTTP/1.0": (
        head("Expect: 100-continue", "Content-Length: 1", start="POST /echo HTTP/1.0") + b"x",
        LAST,
    ),
    "100-continue without a body": (get("Expect: 100-continue"), OK),
    "100-continue before a body too large": (
        head("Expect: 100-continue", "Content-Length: 999999999"),
        (413,),
    ),
}

GROUPS: Final = {
    "lengths": LENGTHS,
    "a length with a coding": TOGETHER,
    "codings": CODINGS,
    "line ends": LINE_ENDS,
    "fields": FIELDS,
    "request lines": REQUEST_LINES,
    "ends": ENDS,
    "chunks": CHUNKS,
    "expectations": EXPECTATIONS,
}
