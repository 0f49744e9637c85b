"""What all hits of pixels, beacons and clicks have in common: whose token, which visitor, what is taken and what not.

Who cannot be told (an image, a page that is gone) must not lose anything: what is refused once its datamart is known
becomes a dead letter. Of who does not want to be tracked nothing is kept, also not that.
"""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, Final

from engine import ItemError, Original, PublicToken
from gateway.collect.clock_skew import corrected
from gateway.collect.collect import Collect
from gateway.collect.consent import allows_cookie
from gateway.collect.cookies import Visitor, cookie_header, known_visitor, new_visitor
from gateway.collect.protocols.pixels.asked import Asked, Outcome, Taken, place_of, tokens_of
from gateway.collect.protocols.pixels.hits import TOKENS, Hit, Way, event_time, item_of
from gateway.collect.protocols.pixels.identifiers import identifiers_of, names_agent
from gateway.collect.protocols.pixels.parameters import flag_text, time_of
from gateway.collect.reply import Answer
from gateway.collect.request import Request
from gateway.collect.unreadable import MAX_KEPT_BYTES, refuse_unreadable
from gateway.errors import RequestError

NO_USER_IDENTIFIER: Final = "no_user_identifier"


def sender_of(collect: Collect, way: Way, tokens: Iterable[str], events: int = 1) -> PublicToken:
    """Whose token a request has; who has none of ours is counted, and nothing is kept of the request.

    Args:
        collect: who knows the tokens.
        way: where it came in.
        tokens: all that the request has.
        events: how many events are lost with it.

    Raises:
        RequestError: 401, no token or nobody's; 400, several; 429, it is used too often.
    """
    found = set(tokens)
    try:
        if not found:
            raise RequestError(
                401, "no_token", "`$site_token` or `$dat_token` is missing", path=TOKENS[not way.is_visit]
            )
        if len(found) > 1:
            raise RequestError(400, "several_tokens", "the request has several tokens", path=TOKENS[not way.is_visit])
        return collect.sender(found.pop())
    except RequestError as error:
        if error.status != 429:
            count_refused(collect, way, error.code, events)
        raise


def count_refused(collect: Collect, way: Way, code: str, events: int = 1) -> None:
    """Count events that never reached the engine."""
    collect.counters.items[way.protocol, "refused", code] += events


def take(collect: Collect, way: Way, request: Request, sender: PublicToken, asked: Sequence[Asked]) -> Taken:
    """Take the good ones of these events in one step, all or none; the others become dead letters.

    The supplied identifiers come first. The id of the visitor's cookie is attached to them, unless they have an agent
    already. One that was made just now is attached to others only where the browser will keep it: a mail's pictures are
    fetched by machines that forget it, and a page's by browsers that keep no cookies of other sites, and each of these
    would hang one more agent on a person. There the cookie is set, and counts as soon as it comes back.

    Raises:
        SojournError: nothing was taken.
    """
    visitor = _visitor(collect, request, asked)
    lasting = way.is_click or (way.is_visit and request.headers.get("sec-fetch-site", "") != "cross-site")
    compartments = partial(collect.engine.compartment_by_token, sender.datamart)
    place = collect.place(request.client)
    explains = collect.settings.collect.explain
    times = _times(collect, asked)
    items: list[bytes] = []
    originals: list[Original] = []
    outcomes: list[Outcome | None] = []
    needs_visitor = False
    for one, ts_ms in zip(asked, times, strict=True):
        try:
            if one.fault is not None:
                raise one.fault
            identifiers = identifiers_of(one.parameters, compartments)
            if not names_agent(identifiers):
                needs_visitor = True
                identifiers += _visitor_of(identifiers, visitor, lasting=lasting)
            if not identifiers:
                collect.dropped(way.protocol, NO_USER_IDENTIFIER)
                outcomes.append(Outcome("dropped", NO_USER_IDENTIFIER, "nobody is named, and no cookie may be set"))
                continue
            hit = Hit(one.parameters, identifiers, sender.channel, ts_ms)
            item, fault = item_of(hit, way, place, explains=explains), None
        except RequestError as error:
            item, fault = b"", ItemError(error.code, error.message, place_of(one, error))
        items.append(item)
        originals.append(Original(one.payload[:MAX_KEPT_BYTES], way.protocol, fault=fault))
        outcomes.append(None)
    receipt = (
        collect.take(items, datamart=sender.datamart, protocol=way.protocol, step="JS_TAG", originals=originals)
        if items
        else None
    )
    cookie: tuple[tuple[str, str], ...] = ()
    if needs_visitor and visitor is not None and visitor.is_new:
        cookie = (cookie_header(visitor, collect.settings.visitors, secure=request.secure),)
    return Taken(sender.datamart, tuple(one.place for one in asked), tuple(outcomes), receipt, cookie)


def refuse_known(collect: Collect, way: Way, request: Request, error: RequestError) -> Answer:
    """Refuse what cannot be read as a whole. It may still have a token that we know, in its query: then it is kept.

    Raises:
        RequestError: the error, where nothing was kept; 429, the token is used too often.
    """
    tokens = tokens_of(request.raw_query)
    token = tokens.pop() if len(tokens) == 1 else ""
    sender = collect.engine.public_token(token)
    if sender is None:
        count_refused(collect, way, error.code)
        raise error
    collect.rates.check_token(token)
    payload = request.body or request.raw_query.encode()
    return refuse_unreadable(collect, error, payload, datamart=sender.datamart, protocol=way.protocol, step="JS_TAG")


def _visitor(collect: Collect, request: Request, asked: Sequence[Asked]) -> Visitor | None:
    """The browser that asks; None when one of the events says that no cookie may be read or set."""
    for one in asked:
        if not allows_cookie(
            consent=flag_text(one.parameters, "$consent"),
            gdpr=flag_text(one.parameters, "gdpr"),
            gdpr_consent=flag_text(one.parameters, "gdpr_consent"),
        ):
            return None
    known = known_visitor(request.headers, collect.settings.visitors)
    return known or new_visitor(flag_text(asked[0].parameters, "$event_id") if asked else "")


def _visitor_of(identifiers: list[Any], visitor: Visitor | None, *, lasting: bool) -> list[Any]:
    """The browser's own identifier, where it may stand beside these; or nothing."""
    if visitor is None or (identifiers and visitor.is_new and not lasting):
        return []
    return [{"$type": "USER_AGENT", "$user_agent_id": visitor.user_agent_id}]


def _times(collect: Collect, asked: Sequence[Asked]) -> list[int | None]:
    """When the events happened, by our clock; one whose time cannot be read has a fault."""
    times: list[int | None] = []
    sent_at_ms: int | None = None
    for one in asked:
        ts_ms = None
        if one.fault is None:
            try:
                ts_ms = event_time(one.parameters)
                sent_at_ms = time_of(one.parameters, "$sent_at") if sent_at_ms is None else sent_at_ms
            except RequestError as error:
                one.fault = error
        times.append(ts_ms)
    return corrected(times, sent_at_ms, collect.now_ms())
