"""The routes of the collect plane. The API plane mounts the same ones."""

from gateway.collect.health import live, ready
from gateway.collect.routes import Route
from gateway.collect.user_activities import PATTERN, post_user_activities

ROUTES = (
    Route("POST", PATTERN, post_user_activities),
    Route("GET", "/health/live", live),
    Route("GET", "/health/ready", ready),
)
