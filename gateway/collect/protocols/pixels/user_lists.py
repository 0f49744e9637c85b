"""`GET /v1/user_lists/pixel`: whoever loads this image joins a segment (mediarithmics 4.2).

`$dat_token` says whose segments, `$segtn` names one of them, by its technical name or id. Who joins is told by the same
parameters and the same cookie as for a touch, and it becomes one: a TOUCH with the event `$add_to_segment`, which is as
durable as any other event and in line with them; the step `automations` makes a membership of it. Other parameters are
properties of the event. As with the other pixels everybody gets the image; `X-Sojourn-Dropped` says why somebody has
not joined, and a segment that is missing or unknown is kept as a dead letter.
"""

from typing import Final

from msgspec import Raw

from gateway.collect.collect import Collect
from gateway.collect.consent import objection
from gateway.collect.protocols.pixels.asked import Asked, asked_of_query, tokens_in
from gateway.collect.protocols.pixels.gif import gif
from gateway.collect.protocols.pixels.hits import Way
from gateway.collect.protocols.pixels.images import image_of
from gateway.collect.protocols.pixels.parameters import text_of
from gateway.collect.protocols.pixels.taking import refuse_known, sender_of, take
from gateway.collect.reply import Answer, Pending
from gateway.collect.request import Request
from gateway.errors import RequestError

PATTERN: Final = "/v1/user_lists/pixel"
SEGMENT: Final = "$segtn"
USER_LISTS: Final = Way("user_lists_pixel")

_EVENT: Final = Raw(b'"$add_to_segment"')


def get_user_list(collect: Collect, request: Request) -> Answer:
    """Take the wish to join a segment.

    Raises:
        RequestError: the token is not known or used too often, or there are too many parameters.
        SojournError: the engine cannot take it now.
    """
    way = USER_LISTS
    if request.method == "HEAD":
        return gif()
    if reason := objection(request.headers, collect.settings.visitors):
        collect.dropped(way.protocol, reason)
        return gif(reason=reason)
    try:
        query = request.query
    except RequestError as error:
        return refuse_known(collect, way, request, error)
    sender = sender_of(collect, way, tokens_in(query))
    asked = asked_of_query(query, request.raw_query.encode())
    asked.fault = asked.fault or _fault(collect, sender.datamart, asked)
    # What else it may name is no event of its own: this one is the only one here.
    asked.parameters = {**asked.parameters, "$ev": _EVENT}
    taken = take(collect, way, request, sender, [asked])
    if taken.receipt is None:
        return image_of(taken)
    return Pending(taken.receipt, lambda _: image_of(taken), taken.datamart)


def _fault(collect: Collect, datamart: int, asked: Asked) -> RequestError | None:
    segment = text_of(asked.parameters, SEGMENT)
    if not segment:
        return RequestError(400, "no_segment", f"`{SEGMENT}`, the segment's technical name, is missing", path=SEGMENT)
    if not collect.engine.knows_segment(datamart, segment):
        return RequestError(400, "unknown_segment", f"there is no segment {segment!r}", path=SEGMENT)
    return None
