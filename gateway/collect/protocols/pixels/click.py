"""`GET /v1/touches/click`: a click in a mail or on an ad; the person goes on to `$redirect` (decision 40).

    /v1/touches/click?$dat_token=…&$ev=$email_click&$cuid=42&$redirect=https%3A%2F%2Fshop.example%2Fspring

`$redirect` is the last parameter, percent-encoded; anything behind it is not saved. It is followed only to `http(s)`
addresses whose host the datamart allows, or that carry `$key_id` and `$sig` (in front of it); anything else is 400, and
nothing is taken.

Who clicks must arrive. So where an allowed redirect is known, everything else leads there too, with `X-Sojourn-Dropped`
to say why the event was not taken: an event with a fault, a token that is used too often, an engine that is full or
stopping, a browser that does not want to be tracked. The redirect waits for the disk, as every answer does, but not
longer than `MAX_WAIT_S`; an event that took longer is in the journal all the same, unless the disk has failed. (The
limit of requests of one address stands in front of all this and answers 429.)

Not clicks: a HEAD, with which mail scanners try links, is redirected and takes no event. A prefetch (`Purpose` or
`Sec-Purpose: prefetch`) is answered 503: browsers throw that away and ask again when somebody really clicks.
"""

from typing import Final

import trio

from engine import PublicToken, SojournError
from gateway.collect.collect import DROPPED, Collect
from gateway.collect.consent import objection
from gateway.collect.explain import asks_why
from gateway.collect.protocols.pixels.asked import Query, Taken, asked_of_query, tokens_in
from gateway.collect.protocols.pixels.gif import UNCACHED, reason_of
from gateway.collect.protocols.pixels.hits import CLICKS
from gateway.collect.protocols.pixels.parameters import as_text
from gateway.collect.protocols.pixels.redirects import (
    REDIRECT,
    Target,
    is_allowed,
    is_signed,
    parse_target,
    split_redirect,
)
from gateway.collect.protocols.pixels.taking import count_refused, sender_of, take
from gateway.collect.reply import Answer, Pending, Reply
from gateway.collect.request import Request, parse_query
from gateway.errors import RequestError, reply_for

PATTERN: Final = "/v1/touches/click"

MAX_WAIT_S: Final = 2.0
"""How long a person waits for our disk."""


def get_click(collect: Collect, request: Request) -> Answer:
    """Take a click, and lead on.

    Raises:
        RequestError: 400, there is no `$redirect`, or none that may be followed; 503, a prefetch.
    """
    before, encoded = split_redirect(request.raw_query)
    try:
        if encoded is None:
            raise RequestError(400, "no_redirect", f"`{REDIRECT}` is missing", path=REDIRECT)
        query = parse_query(before)
        target = parse_target(encoded)
        sender = _sender(collect, query)
        _check_redirect(collect, query, target, sender)
    except RequestError as error:
        count_refused(collect, CLICKS, error.code)
        raise
    if request.method == "HEAD":
        return _led(target)
    if _is_prefetch(request):
        raise RequestError(503, "prefetch", "this link is not fetched ahead", headers={"retry-after": "1"})
    if reason := objection(request.headers, collect.settings.visitors):
        collect.dropped(CLICKS.protocol, reason)
        return _led(target, reason)
    try:
        # The rate and the counters of an unknown token; where it may lead to has been checked.
        sender = sender_of(collect, CLICKS, tokens_in(query))
        asked = asked_of_query(query, request.raw_query.encode())
        if asked.fault is None:
            asked.parameters[REDIRECT] = as_text(target.address)
        taken = take(collect, CLICKS, request, sender, [asked])
    except (RequestError, SojournError) as error:
        return _led(target, reason_of(error))
    if taken.receipt is not None and collect.settings.collect.explain and asks_why(request):
        return Pending(taken.receipt, lambda _: _led_after(taken, target), taken.datamart)
    return _arrive(taken, target)


def click_refusal(error: BaseException) -> Reply:
    """What a person reads whose link leads nowhere: one sentence of plain text. 429 and 503 keep `Retry-After`."""
    reply = reply_for(error)
    retry = tuple((name, value) for name, value in reply.headers if name == "retry-after")
    message = str(error) if reply.status < 500 or isinstance(error, RequestError) else "This link does not work now."
    headers = (
        ("content-type", "text/plain; charset=utf-8"),
        ("x-content-type-options", "nosniff"),
        *UNCACHED,
        (DROPPED, reason_of(error)),
        *retry,
    )
    return Reply(reply.status, headers, f"{message}\n".encode())


async def _arrive(taken: Taken, target: Target) -> Reply:
    if taken.receipt is not None:
        try:
            with trio.move_on_after(MAX_WAIT_S):
                await taken.receipt.durable()
        except SojournError as error:
            return _led(target, error.code)
    return _led_after(taken, target)


def _led_after(taken: Taken, target: Target) -> Reply:
    return _led(target, taken.results()[0].code, taken.headers())


def _led(target: Target, reason: str = "", headers: tuple[tuple[str, str], ...] = ()) -> Reply:
    dropped = ((DROPPED, reason),) if reason else ()
    return Reply(302, (("location", target.location), *UNCACHED, *dropped, *headers))


def _sender(collect: Collect, query: Query) -> PublicToken | None:
    tokens = tokens_in(query)
    return collect.engine.public_token(tokens.pop()) if len(tokens) == 1 else None


def _check_redirect(collect: Collect, query: Query, target: Target, sender: PublicToken | None) -> None:
    if sender is not None and is_allowed(target.host, collect.engine.redirect_hosts(sender.datamart)):
        return
    key = collect.engine.signing_key(_one(query, "$key_id"))
    if is_signed(target, _one(query, "$sig"), key, sender.datamart if sender is not None else None):
        return
    if sender is None:
        raise RequestError(400, "unknown_token", "the link's token is not known here", path="$dat_token")
    message = f"`{REDIRECT}` leads to a host that is not allowed here, and is not signed"
    raise RequestError(400, "redirect_not_allowed", message, path=REDIRECT)


def _one(query: Query, name: str) -> str:
    values = query.get(name, ())
    return values[0] if len(values) == 1 else ""


def _is_prefetch(request: Request) -> bool:
    purposes = (request.headers.get(name, "").lower() for name in ("sec-purpose", "purpose", "x-purpose", "x-moz"))
    return any("prefetch" in purpose or "preview" in purpose for purpose in purposes)
