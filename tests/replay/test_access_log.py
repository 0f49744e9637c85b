"""Lines of logs: what is read, what is unreadable, and that no bytes at all make the parser raise."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.replay.access_log import LogLine, Unreadable, parse_line

AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:24.0)"
COMBINED = (
    b'83.149.9.216 - - [17/May/2015:10:05:03 +0000] "GET /blog/geek?tag=a HTTP/1.1" 200 203023 '
    b'"http://example.com/start" "Mozilla/5.0 (X11; Linux x86_64; rv:24.0)"'
)
READ = LogLine(
    ts_ms=1431857103000,
    address="83.149.9.216",
    user="",
    method="GET",
    target="/blog/geek?tag=a",
    protocol="HTTP/1.1",
    request="GET /blog/geek?tag=a HTTP/1.1",
    status=200,
    size_bytes=203023,
    referrer="http://example.com/start",
    agent=AGENT,
)


def line(
    *,
    address: bytes = b"10.0.0.1",
    user: bytes = b"-",
    time: bytes = b"17/May/2015:10:05:03 +0000",
    request: bytes = b"GET / HTTP/1.1",
    status: bytes = b"200",
    size: bytes = b"1",
    rest: bytes = b' "-" "A"',
) -> bytes:
    return b'%s - %s [%s] "%s" %s %s%s' % (address, user, time, request, status, size, rest)


def read(data: bytes) -> LogLine:
    found = parse_line(data)
    assert isinstance(found, LogLine), f"{found!r}: {data!r}"
    return found


def test_a_combined_line():
    assert parse_line(COMBINED) == READ


def test_a_common_line_has_no_referrer_and_no_agent():
    common = COMBINED[: COMBINED.index(b' "http')]
    assert parse_line(common) == READ._replace(referrer="", agent="")


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"", b" ", b' "-" 0.003 upstream=a'])
def test_what_follows_the_agent_does_not_matter(end):
    assert parse_line(COMBINED + end) == READ


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"address": b"2001:db8::1"}, {"address": "2001:db8::1"}),
        ({"address": b"::ffff:192.0.2.1"}, {"address": "::ffff:192.0.2.1"}),
        ({"address": b"crawl-66-249.example.net"}, {"address": "crawl-66-249.example.net"}),
        ({"user": b"frank"}, {"user": "frank"}),
        ({"user": b"Jean Paul"}, {"user": "Jean Paul"}),
        ({"user": rb"a\x20b"}, {"user": "a b"}),
        ({"user": b'""'}, {"user": ""}),
        ({"status": b"-"}, {"status": 0}),
        ({"size": b"-"}, {"size_bytes": None}),
        ({"size": b"0"}, {"size_bytes": 0}),
        ({"rest": b' "" ""'}, {"referrer": "", "agent": ""}),
        ({"rest": rb' "-" "say \"hi\" \\ C:"'}, {"agent": 'say "hi" \\ C:'}),
        ({"rest": b' "-" "caf\xc3\xa9"'}, {"agent": "café"}),
        ({"rest": rb' "-" "caf\xc3\xa9"'}, {"agent": "café"}),
        ({"rest": rb' "http://\xe4\xe5/" "A"'}, {"referrer": "http://\\xe4\\xe5/"}),
        ({"rest": b' "http://\xe4\xe5/" "A"'}, {"referrer": "http://\\xe4\\xe5/"}),
        ({"rest": rb' "-" "a\tb\q"'}, {"agent": "a\tb\\q"}),
        ({"request": rb"GET /a\"b HTTP/1.1"}, {"target": '/a"b', "protocol": "HTTP/1.1"}),
        ({"request": b"GET /a b c HTTP/1.1"}, {"target": "/a b c"}),
        ({"request": b"GET /"}, {"method": "GET", "target": "/", "protocol": ""}),
        ({"request": b"M-SEARCH * HTTP/1.1"}, {"method": "M-SEARCH", "target": "*"}),
    ],
)
def test_a_field_read(fields, expected):
    found = read(line(**fields))
    assert {name: getattr(found, name) for name in expected} == expected


@pytest.mark.parametrize(
    "request_line", [b"-", b"", rb"\x16\x03\x01\x02", b"\x16\x03\x01", b"GET", b"GET  HTTP/1.1", b"\\n"]
)
def test_a_garbage_request_is_still_a_visit(request_line):
    found = read(line(request=request_line))
    assert (found.method, found.target, found.protocol) == ("", "", "")
    assert (found.address, found.status) == ("10.0.0.1", 200)


def test_a_garbage_request_keeps_its_text():
    assert read(line(request=rb"\x16\x03\xff")).request == "\x16\x03\\xff"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"hello",
        b"\xff\xfe\x00",
        COMBINED[:-1],
        COMBINED[1 + COMBINED.index(b"]") :],
        COMBINED.replace(b"[", b""),
        COMBINED.replace(b" 200 ", b" 20 "),
        COMBINED.replace(b" 200 ", b" x00 "),
        line(size=b"1e3"),
        line(size=b"9" * 19),
        line(rest=b' "-'),
        line(rest=b' "-" '),
        line(rest=b' "-" "unclosed \\"'),
        line(request=b'GET /"quoted" HTTP/1.1'),
        line(time=b"2015-05-17T10:05:03Z"),
        line(time="١٧/May/2015:10:05:03 +0000".encode()),
    ],
)
def test_a_broken_frame_is_unreadable(data):
    assert parse_line(data) is Unreadable.FRAME


@pytest.mark.parametrize(
    "time",
    [
        b"31/Feb/2015:10:05:03 +0000",
        b"00/May/2015:10:05:03 +0000",
        b"17/Mai/2015:10:05:03 +0000",
        b"17/May/0000:10:05:03 +0000",
        b"17/May/2015:24:05:03 +0000",
        b"17/May/2015:10:60:03 +0000",
        b"17/May/2015:10:05:61 +0000",
        b"17/May/2015:10:05:03 +2400",
        b"17/May/2015:10:05:03 +0060",
        b"31/Dec/1969:23:59:59 +0000",
        b"01/Jan/1970:00:00:00 +0001",
        b"01/Jan/0001:00:00:00 +1200",
    ],
)
def test_an_absurd_time_is_unreadable(time):
    assert parse_line(line(time=time)) is Unreadable.TIME


def test_the_zone_counts():
    moments = [b"17/May/2015:10:05:03 +0000", b"17/May/2015:12:35:03 +0230", b"17/May/2015:00:05:03 -1000"]
    assert {read(line(time=time)).ts_ms for time in moments} == {READ.ts_ms}


def test_a_leap_second_is_the_next_minute():
    leap, next_minute = (
        read(line(time=time)).ts_ms for time in (b"30/Jun/2015:23:59:60 +0000", b"01/Jul/2015:00:00:00 +0000")
    )
    assert leap == next_minute


def test_more_minutes_than_are_remembered():
    start = datetime(2020, 1, 1, tzinfo=UTC)
    for minute in range(0, 10_000, 7):
        moment = start + timedelta(minutes=minute)
        text = moment.strftime("%d/%b/%Y:%H:%M:%S +0000").encode()
        assert read(line(time=text)).ts_ms == moment.timestamp() * 1000


@given(st.binary())
def test_any_bytes_are_a_line_or_a_reason(data):
    assert isinstance(parse_line(data), LogLine | Unreadable)


@given(*[st.binary(max_size=40)] * 7)
def test_any_bytes_in_the_fields_are_a_line_or_a_reason(address, user, time, request, status, size, rest):
    found = parse_line(
        line(
            address=address,
            user=user,
            time=time,
            request=request,
            status=status,
            size=size,
            rest=b' "' + rest + b'" "A"',
        )
    )
    assert isinstance(found, LogLine | Unreadable)
    if isinstance(found, LogLine):
        "".join(field for field in found if isinstance(field, str)).encode()  # No lone surrogates.


def escaped(text: str) -> bytes:
    """As Apache writes a header: quotes, backslashes and what is not printable ASCII are escaped."""
    plain = {'"': b'\\"', "\\": b"\\\\", "\n": b"\\n", "\t": b"\\t"}
    return b"".join(
        plain.get(char)
        or (char.encode() if " " <= char < "\x7f" else b"".join(b"\\x%02x" % byte for byte in char.encode()))
        for char in text
    )


TEXTS = st.text().filter(lambda text: text not in ("-", '""'))
WORDS = st.text(st.characters(categories=["L", "N"]), min_size=1)


@given(
    moment=st.datetimes(min_value=datetime(1971, 1, 1), max_value=datetime(9998, 1, 1)),
    zone=st.integers(-23 * 60 - 59, 23 * 60 + 59),
    address=WORDS,
    user=WORDS,
    target=WORDS,
    status=st.integers(100, 599),
    size=st.none() | st.integers(0, 10**18 - 1),
    referrer=TEXTS,
    agent=TEXTS,
)
def test_what_a_server_writes_is_read_back(moment, zone, address, user, target, status, size, referrer, agent):
    moment = moment.replace(microsecond=0, tzinfo=timezone(timedelta(minutes=zone)))
    months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    written = (
        f"{moment:%d}/{months[moment.month - 1]}/{moment.year:04}:{moment:%H:%M:%S} "
        f"{'-' if zone < 0 else '+'}{abs(zone) // 60:02}{abs(zone) % 60:02}"
    )
    found = parse_line(
        line(
            address=escaped(address),
            user=escaped(user),
            time=written.encode(),
            request=b"GET /%s HTTP/1.1" % escaped(target),
            status=b"%d" % status,
            size=b"-" if size is None else b"%d" % size,
            rest=b' "%s" "%s"' % (escaped(referrer), escaped(agent)),
        )
    )
    assert found == LogLine(
        ts_ms=int(moment.timestamp()) * 1000,
        address=address,
        user=user,
        method="GET",
        target=f"/{target}",
        protocol="HTTP/1.1",
        request=f"GET /{target} HTTP/1.1",
        status=status,
        size_bytes=size,
        referrer=referrer,
        agent=agent,
    )


def test_a_long_broken_line_costs_linear_time():
    # With a parser that tries every way to read it, this test would not end.
    parse_line(b'a - b [17/May/2015:10:05:03 +0000] "' + b"\\\\" * 50_000 + b'x" 200 1 "' + b"a " * 50_000)
    parse_line(b"a - " + b"[1 " * 50_000)
    parse_line(line(request=b"GET " + b" HTTP/1.1" * 20_000 + b" x"))
