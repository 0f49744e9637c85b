"""The API plane: a Quart-Trio application around the resources, with the collect routes among them."""

from http import HTTPStatus
from typing import TYPE_CHECKING

import quart
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException

from gateway.api import definitions, metrics, plugins, timelines, user_points
from gateway.api.mount import mount, response
from gateway.collect.collect import Collect
from gateway.collect.cors import Cors
from gateway.collect.plane import Plane
from gateway.collect.table import collect_routes
from gateway.errors import error_reply, reply_for
from gateway.linger import lingering

if TYPE_CHECKING:
    from hypercorn.typing import ASGIFramework

_CODES = {
    404: ("not_found", "Resource Not Found"),
    405: ("method_not_allowed", "this method is not possible here"),
    408: ("request_timeout", "the body did not arrive in time"),
    413: ("body_too_large", "the body is too large"),
}


def api_app(collect: Collect) -> "ASGIFramework":
    """The application.

    Args:
        collect: the engine that is asked, page sizes, the bounds of a body; its counters are shown.
    """
    engine, settings = collect.engine, collect.settings
    app = QuartTrio("sojourn", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = settings.collect.max_body_bytes
    app.config["BODY_TIMEOUT"] = settings.collect.body_timeout_s
    # An identifier may hold two slashes in a row: no redirect to another person's page.
    app.url_map.merge_slashes = False
    app.register_error_handler(HTTPException, _refused)
    app.register_error_handler(Exception, _failed)
    own = (
        *timelines.routes(engine, settings),
        *user_points.routes(engine),
        *definitions.routes(engine),
        *plugins.routes(engine, settings),
        *metrics.routes(collect),
    )
    mount(app, Plane(collect, (*own, *collect_routes(collect)), Cors(engine.site_hosts, settings.collect.cors_origins)))
    return lingering(app)


async def _refused(error: HTTPException) -> quart.Response:
    """What Quart refuses by itself, in our envelope."""
    status = error.code or 500
    default = HTTPStatus(status).phrase
    code, message = _CODES.get(status, (default.lower().replace(" ", "_"), default))
    headers = {name.lower(): value for name, value in error.get_headers() if name.lower() in ("allow", "location")}
    return response(error_reply(status, code, message, headers=headers))


async def _failed(error: Exception) -> quart.Response:
    return response(reply_for(error))
