"""A plane with a site, an application, a compartment and keys, and what pixels, beacons and clicks leave in it."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from engine import DeadLetter, Selector
from gateway.collect.collect import DROPPED, Collect
from gateway.collect.plane import Plane
from gateway.collect.reply import Reply
from tests.gateway.engines import SITE, call, memory_collect, plane_of

MART = "mart-token"
APP = "app-token"
COMPARTMENT = "compartment-token"
SECRET = "a long secret of the mail house, 32 characters and more"
VISITOR = "5a3b0a1c-9f61-4a0e-8d55-0c9d6a7b1e2f"

DATAMART = {
    "id": 1,
    "token": MART,
    "default_compartment": "main",
    "redirect_hosts": ["partner.test", "bücher.test", "192.0.2.1"],
    "channel": [
        {"id": "1", "domain": "shop.test"},
        {"id": "phone", "kind": "MOBILE_APPLICATION", "token": APP},
    ],
    "compartment": [{"id": "77", "token": COMPARTMENT}],
    "signing_key": [
        {"id": "mail", "secret": SECRET},
        {"id": "inside-the-app", "secret": SECRET, "channel": "app:phone"},
    ],
}
OTHER_DATAMART = {
    "id": 2,
    "token": "other-mart-token",
    "channel": [{"id": "9", "token": "other-site-token"}],
    "signing_key": [{"id": "other", "secret": SECRET}],
}

VISITS = "/v1/visits/pixel"
TOUCHES = "/v1/touches/pixel"
CLICK = "/v1/touches/click"


@dataclass
class World:
    """The plane and its engine, and how to ask them."""

    collect: Collect
    plane: Plane

    async def get(self, path: str, parameters: Mapping[str, str], **options: Any) -> Reply:
        """A GET with these parameters, percent-encoded as `encodeURIComponent` does."""
        return await self.ask("GET", f"{path}?{encoded(parameters)}", **options)

    async def post(self, path: str, body: Any, **options: Any) -> Any:
        """A POST with this JSON as `sendBeacon` sends it; the answer's JSON, which has to be a success."""
        reply = await self.beacon(path, body, **options)
        assert reply.status == 200, reply
        return json.loads(reply.body)

    async def beacon(self, path: str, body: Any, **options: Any) -> Reply:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"content-type": "text/plain;charset=UTF-8", **options.pop("headers", {})}
        return await self.ask("POST", path, data, headers=headers, **options)

    async def ask(self, method: str, target: str, body: bytes = b"", **options: Any) -> Reply:
        return await call(self.plane, method, target, body, token="", **options)

    async def activities(self, selector: str, datamart: int = 1) -> list[dict[str, Any]]:
        """All activities of somebody, open ones too, newest first; empty for who is not known."""
        engine = self.collect.engine
        point = engine.reader.find_user_point(datamart, Selector.parse(selector))
        if point is None:
            return []
        return [json.loads(shown) for shown in await engine.activities(datamart, point, live=True)]

    async def activity(self, selector: str, datamart: int = 1) -> dict[str, Any]:
        """The one activity of somebody."""
        (found,) = await self.activities(selector, datamart)
        return found

    async def event(self, selector: str, datamart: int = 1) -> dict[str, Any]:
        """The one event of the one activity of somebody."""
        (found,) = (await self.activity(selector, datamart))["$events"]
        assert isinstance(found, dict)
        return found

    def dead_letters(self, datamart: int = 1) -> list[DeadLetter]:
        return self.collect.engine.reader.dead_letters(datamart)

    def count(self, protocol: str, fate: str, reason: str = "") -> int:
        return self.collect.counters.items[protocol, fate, reason]


@asynccontextmanager
async def world(**overrides: object) -> AsyncIterator[World]:
    """The world; settings by key, two underscores for the dot."""
    async with memory_collect(datamart=[DATAMART, OTHER_DATAMART], **overrides) as collect:
        yield World(collect, plane_of(collect))


def encoded(parameters: Mapping[str, str]) -> str:
    return "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in parameters.items())


def visit(**more: str) -> dict[str, str]:
    """Parameters of a visit; a name is given without its `$`, or with `_` in front for one that has none."""
    return {"$site_token": SITE, **named(more)}


def touch(**more: str) -> dict[str, str]:
    """Parameters of a touch, likewise."""
    return {"$dat_token": MART, **named(more)}


def named(more: Mapping[str, str]) -> dict[str, str]:
    return {name[1:] if name.startswith("_") else f"${name}": value for name, value in more.items()}


def header(reply: Reply, name: str) -> str:
    """A header of a reply, or ""."""
    return dict(reply.headers).get(name, "")


def dropped(reply: Reply) -> str:
    return header(reply, DROPPED)


def cookie(reply: Reply) -> str:
    """The id that a reply's cookie sets, or ""."""
    return header(reply, "set-cookie").partition(";")[0].removeprefix("sojourn_vid=")


def with_cookie(value: str = VISITOR, **more: str) -> dict[str, str]:
    """Headers of a browser that has this cookie among others."""
    return {"cookie": f"theme=dark; sojourn_vid={value}; lang=fr", **more}
