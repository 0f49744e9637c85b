"""`GET /v1/datamarts/:d/user_points/:selector/user_identifiers`: by what a person is known (mediarithmics 11.2)."""

from functools import partial

import trio

from engine import Engine
from gateway.api.reading import user_point_of
from gateway.collect.reply import Reply, ok_list
from gateway.collect.request import Request
from gateway.collect.routes import Route


async def get_user_identifiers(engine: Engine, request: Request) -> Reply:
    """The identifiers of a user point.

    Raises:
        RequestError: 400, 401, 403, 404.
        CallerError: not a selector.
    """
    datamart, user_point = await user_point_of(engine, request)
    found = await trio.to_thread.run_sync(engine.reader.identifiers, datamart, user_point)
    return ok_list(found, max_results=len(found))


def routes(engine: Engine) -> tuple[Route, ...]:
    """Where identifiers are read."""
    pattern = "/v1/datamarts/:datamart/user_points/:selector+/user_identifiers"
    return (Route("GET", pattern, partial(get_user_identifiers, engine)),)
