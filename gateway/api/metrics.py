"""`GET /metrics`: the counters and gauges in Prometheus' text format, without a token: the API plane is private."""

from functools import partial

from gateway.collect.collect import Collect
from gateway.collect.reply import Reply
from gateway.collect.request import Request
from gateway.collect.routes import Route

TEXT = ("content-type", "text/plain; version=0.0.4; charset=utf-8")


def get_metrics(collect: Collect, request: Request) -> Reply:
    """Everything that the engine and the collect plane count."""
    return Reply(200, (TEXT,), collect.engine.metrics() + collect.counters.text())


def routes(collect: Collect) -> tuple[Route, ...]:
    """Where metrics are read."""
    return (Route("GET", "/metrics", partial(get_metrics, collect), protocol="metrics"),)
