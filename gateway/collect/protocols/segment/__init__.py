"""Segment's HTTP API, and RudderStack's, which differs a little: every message becomes one activity item."""

from gateway.collect.protocols.segment.routes import routes

__all__ = ["routes"]
