"""`GET /metrics`: the counters and gauges in Prometheus' text format, without a token: the API plane is private."""

from engine import Engine
from gateway.collect.reply import Reply
from gateway.collect.request import Request
from gateway.collect.routes import Route

TEXT = ("content-type", "text/plain; version=0.0.4; charset=utf-8")


async def get_metrics(engine: Engine, request: Request) -> Reply:
    """Everything the engine counts."""
    return Reply(200, (TEXT,), engine.metrics())


ROUTES = (Route("GET", "/metrics", get_metrics),)
