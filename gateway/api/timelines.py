"""`GET /v1/datamarts/:d/user_timelines/:selector/user_activities`, and the same below `user_points`.

(facts: mediarithmics 11.1; decisions 37, 38)
"""

from functools import partial

import msgspec

from engine import Engine, Settings
from gateway.api.filters import parse_filters
from gateway.api.reading import before_ms_of, limit_of, refuse_first_result, that_fit, user_point_of
from gateway.collect.reply import Reply, ok_list
from gateway.collect.request import Request
from gateway.collect.routes import Route


async def get_user_activities(settings: Settings, engine: Engine, request: Request) -> Reply:
    """The activities of a user point, newest first; with `live=true` its open sessions too, as snapshots.

    When they are too much for one answer, it says `"truncated": true` and holds the newest; an `end_ts` filter with
    the last one's `$ts` goes on from there.

    Raises:
        RequestError: 400, 401, 403, 404.
        CallerError: not a selector.
    """
    datamart, user_point = await user_point_of(engine, request)
    filters = parse_filters(request.parameter("filters") or "")
    limit = limit_of(request, default=settings.api.default_page, most=settings.api.max_page)
    refuse_first_result(request)
    found = await engine.activities(
        datamart,
        user_point,
        filters=filters,
        live=request.flag("live") is True,
        limit=limit,
        before_ms=before_ms_of(request),
    )
    shown = that_fit(found)
    more = {"truncated": True} if len(shown) < len(found) else {}
    return ok_list([msgspec.Raw(item) for item in shown], max_results=limit, **more)


def routes(engine: Engine, settings: Settings) -> tuple[Route, ...]:
    """Where timelines are read, with the page sizes of the settings."""
    handler = partial(get_user_activities, settings, engine)
    return (
        Route("GET", "/v1/datamarts/:datamart/user_timelines/:selector+/user_activities", handler),
        Route("GET", "/v1/datamarts/:datamart/user_points/:selector+/user_activities", handler),
    )
