"""Whether the process is alive, and whether it can take events now; for load balancers, without a token."""

from functools import partial

from engine import Engine
from gateway.collect.reply import Reply, ok
from gateway.collect.request import Request
from gateway.collect.routes import Route
from gateway.errors import RETRY_AFTER_S, RequestError


def live(engine: Engine, request: Request) -> Reply:
    """`GET /health/live`: 200 as long as the process answers at all."""
    return ok({"live": True})


def ready(engine: Engine, request: Request) -> Reply:
    """`GET /health/ready`: 200, or 503 with the reason why events are not taken now.

    Raises:
        RequestError: 503, not ready.
    """
    readiness = engine.readiness()
    if not readiness.ready:
        reason = readiness.reason or "not ready"
        raise RequestError(503, "not_ready", reason, headers={"retry-after": str(RETRY_AFTER_S)})
    return ok({"ready": True, "reason": readiness.reason} if readiness.reason else {"ready": True})


def routes(engine: Engine) -> tuple[Route, ...]:
    """Where health is asked."""
    return (
        Route("GET", "/health/live", partial(live, engine), protocol="health"),
        Route("GET", "/health/ready", partial(ready, engine), protocol="health"),
    )
