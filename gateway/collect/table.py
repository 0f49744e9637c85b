"""The routes of the collect plane. The API plane mounts the same ones."""

from gateway.collect import health
from gateway.collect.collect import Collect
from gateway.collect.protocols import demo, pixels, segment, tag, user_activities
from gateway.collect.protocols.xo import routes as xo
from gateway.collect.routes import Route


def collect_routes(collect: Collect) -> tuple[Route, ...]:
    """All ways in."""
    return (
        *user_activities.routes(collect),
        *pixels.routes(collect),
        *tag.routes(collect),
        *demo.routes(collect),
        *segment.routes(collect),
        *health.routes(collect.engine),
        # Any short path is a tracker key unless it is something else: the last of all.
        *xo.routes(collect),
    )
