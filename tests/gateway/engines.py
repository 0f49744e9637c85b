"""A real engine on a memory store, and requests to protocol functions without any server."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from typing import Any

from engine import Engine, MemoryStore, Settings, load_settings, open_engine
from gateway.collect.collect import Collect
from gateway.collect.cors import Cors
from gateway.collect.plane import Plane, Waiting
from gateway.collect.reply import Reply
from gateway.collect.request import Request
from gateway.collect.routes import Route
from gateway.collect.table import collect_routes

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


@asynccontextmanager
async def memory_collect(**overrides: object) -> AsyncIterator[Collect]:
    """A collect plane before an engine with datamart 1 and site 1; settings by key, two underscores for the dot."""
    settings = settings_for_tests(**overrides)
    async with open_engine(settings, store=MemoryStore()) as engine:
        await engine.wait_recovered()
        yield Collect(engine, settings)


def plane_of(collect: Collect, routes: Sequence[Route] | None = None) -> Plane:
    """Its routes, as a server would have them, or other ones."""
    cors = Cors(collect.engine.site_hosts, collect.settings.collect.cors_origins)
    return Plane(collect, collect_routes(collect) if routes is None else routes, cors)


class Nobody:
    """An engine that nothing is asked of, but whose sites these are: for planes whose routes are a test's own."""

    def __init__(self, *hosts: str) -> None:
        self._hosts = frozenset(hosts)

    def site_hosts(self) -> frozenset[str]:
        return self._hosts

    def gathering(self) -> AbstractContextManager[None]:
        return nullcontext()


def plane_without_engine(routes: Sequence[Route], *hosts: str, **overrides: object) -> Plane:
    """A plane with these routes; the sites' own hosts; settings by key, two underscores for the dot."""
    nobody: Any = Nobody(*hosts)
    return plane_of(Collect(nobody, settings_for_tests(**overrides)), routes)


async def call(
    plane: Plane,
    method: str,
    target: str,
    body: bytes = b"",
    *,
    headers: Mapping[str, str] | None = None,
    token: str = ADMIN,
    client: str = "192.0.2.7",
    secure: bool = False,
) -> Reply:
    """The reply to a request, errors included, as a server would send it; `token=""` sends none."""
    path, _, query = target.partition("?")
    authorization = {"authorization": token} if token else {}
    request = Request(
        method=method,
        path=path,
        raw_query=query,
        headers={**authorization, **(headers or {})},
        body=body,
        client=client,
        secure=secure,
    )
    answer = plane.answer(request)
    if isinstance(answer, Waiting):
        answer = answer.wait()
    return answer if isinstance(answer, Reply) else await answer
