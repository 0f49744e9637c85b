"""`POST /v1/visits/pixel` and `POST /v1/touches/pixel`: the same events from scripts, several at a time.

`navigator.sendBeacon` sends `text/plain`, so the first character tells what a body is, not its type:

    {"$site_token": …, "$events": [{"$ev": …, "$ts": …, …}, …], …}    an envelope: what our own tag sends
    [{"$ev": …}, …]                                                   events; the token in the query, or in each
    {"$site_token": …, "$ev": …}                                      one event
    $ev=…&$url=…                                                      a form, as behind the `?` of the image

Parameters are those of the image, with JSON values in JSON. Any of them may stand in the query, in the envelope or in
the event; the innermost wins, nothing is merged. `$events` is the envelope's alone. `$sent_at`, the sender's clock at
sending in ms, corrects clocks that are ahead (decision 9), of all events by the same. `$consent: false` for one event
is one for the whole request: there is one cookie. Two different tokens refuse the request.

Answered is `{"status": "ok", "results": [{"status": …}, …]}`, one result an event, in order: `accepted`, `duplicate`,
`refused` (with `error_code`, `error`, `path`) or `dropped` (with `error_code`). All four are final. 429 and 503:
nothing was taken, all of it may be sent again. 400 and 401: the request itself cannot be read, or is from nobody we
know; final.
"""

from typing import Any, Final

import msgspec
from msgspec import Raw

from gateway.collect.collect import DROPPED, Collect, body_text
from gateway.collect.consent import objection
from gateway.collect.protocols.pixels.asked import Asked, Outcome, Taken, asked_of_query, tokens_in
from gateway.collect.protocols.pixels.gif import UNCACHED
from gateway.collect.protocols.pixels.hits import TOKENS, Way
from gateway.collect.protocols.pixels.parameters import Parameters, parameters_of, text_of
from gateway.collect.protocols.pixels.taking import refuse_known, sender_of, take
from gateway.collect.reply import Answer, Pending, Reply, json_reply
from gateway.collect.request import Request, parse_query
from gateway.collect.surrogates import without_halves
from gateway.errors import RequestError

MAX_EVENTS: Final = 1000
"""Of one request, taken in one step of the loop. A beacon of 64 KiB has some hundreds."""

MAX_SHARED_BYTES: Final = 4 << 20
"""What all events share, times their number: each carries it on, and a small request may not become a large one."""

_objects = msgspec.json.Decoder(dict[str, Raw])
_lists = msgspec.json.Decoder(list[Raw])

Beacon = tuple[list[Asked], set[str]]
"""The events of a request, and its tokens."""


def post_beacon(collect: Collect, way: Way, request: Request) -> Answer:
    """Take the events of a body.

    Raises:
        RequestError: 400, 401, 429; of a body that cannot be read, from a sender we know, a dead letter is kept.
        SojournError: the engine cannot take it now.
    """
    if reason := objection(request.headers, collect.settings.visitors):
        asked, _ = read_beacon(request)
        collect.dropped(way.protocol, reason, len(asked))
        return _answer([Outcome("dropped", reason, "the browser does not want to be tracked")] * len(asked))
    try:
        asked, tokens = read_beacon(request)
    except RequestError as error:
        return refuse_known(collect, way, request, error)
    sender = sender_of(collect, way, tokens, len(asked))
    taken = take(collect, way, request, sender, asked)
    if taken.receipt is None:
        return _answer_taken(taken)
    return Pending(taken.receipt, lambda _: _answer_taken(taken), taken.datamart)


def read_beacon(request: Request) -> Beacon:
    """Take a request apart. Pure.

    Raises:
        RequestError: 400, it cannot be read as a whole, has no events, or more than `MAX_EVENTS`.
    """
    body = request.body.strip(b" \t\r\n")
    if body[:1] not in (b"{", b"["):
        query = {**request.query, **parse_query(body_text(request).strip())}
        if not query:
            raise RequestError(400, "empty_body", "there is neither a body nor a query")
        return [asked_of_query(query, request.body or request.raw_query.encode())], tokens_in(query)
    body_text(request)  # Values stay as they are: nothing else would look whether they are UTF-8.
    body = without_halves(body)
    shared = parameters_of(request.query)
    if body.startswith(b"["):
        asked = _events(_list(body, "$"), shared, "$")
    else:
        envelope = _object(body, "$")
        events = envelope.pop("$events", None)
        if events is None:
            asked = [Asked({**shared, **envelope}, body, "$")]
        else:
            asked = _events(_list(events, "$.$events"), {**shared, **envelope}, "$.$events")
    return asked, {token for one in asked for name in TOKENS if (token := text_of(one.parameters, name))}


def _events(elements: list[Raw], shared: Parameters, place: str) -> list[Asked]:
    if not elements:
        raise RequestError(400, "no_events", "there are no events", path=place)
    if len(elements) > MAX_EVENTS:
        message = f"{len(elements)} events, the limit is {MAX_EVENTS}"
        raise RequestError(400, "too_many_items", message, path=place)
    shared_bytes = sum(len(name) + len(bytes(value)) for name, value in shared.items())
    if shared_bytes * len(elements) > MAX_SHARED_BYTES:
        message = f"{len(elements)} events share {shared_bytes} bytes, together more than {MAX_SHARED_BYTES}"
        raise RequestError(400, "request_too_large", message, path=place)
    asked: list[Asked] = []
    for index, element in enumerate(elements):
        where = f"{place}[{index}]"
        payload = bytes(element)
        try:
            asked.append(Asked({**shared, **_object(payload, where)}, payload, where))
        except RequestError as error:
            # What it shares is kept: without, this event would seem to have no token.
            fault = RequestError(400, error.code, error.message)
            asked.append(Asked(dict(shared), payload, where, fault=fault))
    return asked


def _object(data: bytes | Raw, path: str) -> Parameters:
    try:
        return _objects.decode(data)
    except msgspec.ValidationError:
        raise RequestError(400, "bad_field", "must be an object", path=path) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RequestError(400, "bad_json", str(error), path=path) from None


def _list(data: bytes | Raw, path: str) -> list[Raw]:
    try:
        return _lists.decode(data)
    except msgspec.ValidationError:
        raise RequestError(400, "bad_field", "must be a list", path=path) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RequestError(400, "bad_json", str(error), path=path) from None


def _answer_taken(taken: Taken) -> Reply:
    return _answer(taken.results(), taken.headers())


def _answer(results: list[Outcome], headers: tuple[tuple[str, str], ...] = ()) -> Reply:
    reasons = [one.code for one in results if one.code]
    dropped = ((DROPPED, reasons[0]),) if reasons else ()
    body = {"status": "ok", "results": [_shown(one) for one in results]}
    return json_reply(body, headers=(*UNCACHED, *dropped, *headers))


def _shown(one: Outcome) -> dict[str, Any]:
    shown = {"status": one.status}
    if one.code:
        shown |= {"error_code": one.code, "error": one.message}
    if one.path:
        shown["path"] = one.path
    return shown
