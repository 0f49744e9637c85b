"""A real engine on a memory store, and requests to protocol functions without any server."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from engine import Engine, MemoryStore, Settings, load_settings, open_engine
from gateway.collect.reply import Reply
from gateway.collect.request import Request, parse_query
from gateway.collect.routes import Route, find
from gateway.errors import reply_for

ADMIN = "admin-token"
SITE = "site-token"


def settings_for_tests(**overrides: object) -> Settings:
    """The defaults with known tokens; overrides by key with two underscores for the dot."""
    environ = {"SOJOURN_ADMIN_TOKEN": ADMIN, "SOJOURN_SITE_TOKEN": SITE}
    return load_settings(None, environ, {key.replace("__", "."): value for key, value in overrides.items()})


@asynccontextmanager
async def memory_engine() -> AsyncIterator[Engine]:
    """An engine with datamart 1 and site 1, ready to take events."""
    async with open_engine(settings_for_tests(), store=MemoryStore()) as engine:
        await engine.wait_recovered()
        yield engine


async def call(
    routes: tuple[Route, ...],
    engine: Engine,
    method: str,
    target: str,
    body: bytes = b"",
    *,
    headers: Mapping[str, str] | None = None,
    token: str = ADMIN,
) -> Reply:
    """The reply to a request, errors included, as a server would make it."""
    path, _, query = target.partition("?")
    try:
        handler, params = find(routes, method, path)
        request = Request(
            method=method,
            path=path,
            params=params,
            query=parse_query(query),
            headers={"authorization": token, **(headers or {})},
            body=body,
        )
        return await handler(engine, request)
    except Exception as error:
        return reply_for(error)
