"""A made-up access log, the same one every time, with everything in it that makes sessions hard.

Lines out of order by up to 59 s, equal lines, gaps of exactly half an hour and one second more, campaigns, foreign and
own referrers, sessions longer than a day, sessions too large for one activity, accounts, requests that are none, a leap
of days, broken lines, crawlers and static files.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from random import Random

DOMAIN = "shop.example.com"
START = datetime(2024, 2, 28, 22, 0, tzinfo=UTC)  # The 29th is in it.
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:120.0) Gecko/20100101 Firefox/120.{}"
CRAWLER = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
REFERRERS = (
    "-",
    f"https://{DOMAIN}/list?page=2",
    "https://www.example.com/",  # The same registrable domain: the site's own.
    "https://www.google.co.uk/search?q=shoes",
    "https://maps.google.co.uk/",
    "https://news.example.org/today",
    "http://192.0.2.7/mail",
    "http://192.0.2.8/mail",
    "https://alice.github.io/links",
    "https://bob.github.io/links",
    "http://[broken",
)
CAMPAIGNS = (
    "",
    "?utm_source=letter&utm_medium=email&utm_campaign=spring+sale",
    "?UTM_Source=letter&utm_medium=email&utm_campaign=spring%20sale",
    "?utm_source=letter&utm_medium=email&utm_campaign=autumn",
    "?gclid=abc123",
    "?page=3&utm_term=red+shoes",
    "?utm_source=",
)
GAPS_S = (0, 0, 1, 30, 59, 60, 61, 600, 1799, 1800, 1801, 1860, 1861, 7200)


def made_lines(seed: int = 1, users: int = 120) -> list[bytes]:
    """The lines of the log, in the order in which the server wrote them."""
    random = Random(seed)
    requests: list[tuple[int, str]] = []
    for number in range(users):
        requests += _visits_of(number, random)
    requests += _heartbeat(random)
    requests += _reader_of_long_addresses()
    # A server writes a line when the answer is done: up to 59 s after the time it says.
    requests.sort(key=lambda request: request[0] + random.randrange(60))
    lines = [line.encode() for _, line in requests]
    for _ in range(7):
        at = random.randrange(len(lines))
        lines.insert(at, random.choice([b"", b"not a line", lines[at][:-1], lines[at][:60], b"\x16\x03\x01"]))
    return lines


def shuffled(
    lines: Iterable[bytes], time_and_user: Callable[[bytes], tuple[int, str] | None], seed: int
) -> list[bytes]:
    """The lines in another order a server might have written them in: each up to 59 s behind its time.

    Args:
        lines: in any such order.
        time_and_user: seconds and user of a line; None for one that has none, which follows the line before it.
        seed: of the order.
    """
    random = Random(seed)
    delays: dict[tuple[int, str], int] = {}
    keyed: list[tuple[int, bytes]] = []
    written_at = 0
    for line in lines:
        found = time_and_user(line)
        if found is not None:
            # Lines of one user and second stay together, and so in their order: the sort is stable.
            written_at = found[0] + delays.setdefault(found, random.randrange(60))
        keyed.append((written_at, line))
    keyed.sort(key=lambda pair: pair[0])
    return [line for _, line in keyed]


def _visits_of(number: int, random: Random) -> list[tuple[int, str]]:
    address = random.choice([f"10.1.{number // 8}.{number % 8}", f"2001:db8::{number:x}"])
    agent = CRAWLER if number % 10 == 9 else BROWSER.format(number % 5)
    if number % 17 == 3:
        agent += ' \\"quoted\\" \\\\ caf\\xc3\\xa9'
    user = f"member {number}" if number % 13 == 5 else "-"
    at_s = random.randrange(6 * 3600)
    if number % 20 == 7:
        at_s += 5 * 86_400  # After days without anybody.
    found: list[tuple[int, str]] = []
    for _ in range(random.randrange(1, 40)):
        at_s += random.choice(GAPS_S)
        path = f"/{random.choice(['list', 'item', 'basket', 'style.css'])}{random.choice(CAMPAIGNS)}"
        request = random.choice([f"GET {path} HTTP/1.1"] * 12 + ["-", "\\x16\\x03\\xff", "OPTIONS * HTTP/1.1"])
        referrer = random.choice(REFERRERS[:2] * 6 + REFERRERS)
        size = random.choice(["-", "0", str(random.randrange(10**6))])
        line = _line(address, user, at_s, request, random.choice([200, 304, 404]), size, referrer, agent)
        found += [(at_s, line)] * random.choice([1] * 9 + [3])
    return found


def _heartbeat(random: Random) -> list[tuple[int, str]]:
    """Something that knocks every half hour for more than two days; little text, so that time cuts before size does."""
    times = range(0, 53 * 3600, 1700)
    return [
        (at, _line("10.9.0.1", "-", at, "-", 408, "-", "-", "-")) for at in (at + random.randrange(50) for at in times)
    ]


def _reader_of_long_addresses() -> list[tuple[int, str]]:
    """Sessions that do not fit: many events, long ones, and one event that is too large by itself."""
    found = []
    for at_s in range(1000, 9000, 20):
        path = "/é" + "x" * (at_s * 7 % 900)
        found.append((at_s, _line("10.9.0.2", "-", at_s, f"GET {path} HTTP/1.1", 200, "1", "-", BROWSER.format(8))))
    too_large = f"GET /{'y' * 8000} HTTP/1.1"
    return [*found, (5010, _line("10.9.0.2", "-", 5010, too_large, 414, "1", "-", BROWSER.format(8)))]


def _line(address: str, user: str, at_s: int, request: str, status: int, size: str, referrer: str, agent: str) -> str:
    moment = START + timedelta(seconds=at_s)
    return f'{address} - {user} [{moment:%d/%b/%Y:%H:%M:%S} +0000] "{request}" {status} {size} "{referrer}" "{agent}"'
