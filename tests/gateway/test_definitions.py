"""`/v1/definitions`: applying over HTTP, what is refused and how it is told, and who may."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.api import definitions
from gateway.collect.plane import Plane
from gateway.collect.table import collect_routes
from tests.gateway.engines import SITE, call, memory_collect, plane_of

TEXT = b"[[datamart]]\nid = 1\n[[datamart.goal]]\nid = 'sale'\n[[datamart.channel]]\nid = '1'\n"


@asynccontextmanager
async def managed() -> AsyncIterator[Plane]:
    async with memory_collect() as collect:
        yield plane_of(collect, (*definitions.routes(collect.engine), *collect_routes(collect)))


async def put(plane: Plane, body: bytes, query: str = "", **options: Any) -> tuple[int, Any]:
    reply = await call(plane, "PUT", f"/v1/definitions{query}", body, **options)
    return reply.status, json.loads(reply.body)


async def get(plane: Plane, path: str = "/v1/definitions", **options: Any) -> tuple[int, Any]:
    reply = await call(plane, "GET", path, **options)
    return reply.status, json.loads(reply.body)


async def test_toml_and_json_are_applied_and_the_answer_is_the_difference():
    async with managed() as plane:
        status, said = await put(plane, TEXT)
        assert (status, said["status"], said["data"]["applied"]) == (200, "ok", True)
        assert {"kind": "goal", "id": "sale", "what": "added"}.items() <= said["data"]["changes"][2].items()
        body = json.dumps({"datamart": [{"id": 1, "goal": [{"id": "sale", "default_goal_value": 3}]}]}).encode()
        _, said = await put(plane, body)
        assert [(one["what"], one["kind"]) for one in said["data"]["changes"]] == [
            ("changed", "datamart"),
            ("removed", "channel"),
            ("changed", "goal"),
        ]
        assert said["data"]["changes"][2]["fields"] == [{"path": "default_goal_value", "old": None, "new": 3.0}]
        _, said = await put(plane, body)
        assert said["data"] == {"changes": [], "applied": False, "made": []}


async def test_a_dry_run_only_tells():
    async with managed() as plane:
        for _ in range(2):
            status, said = await put(plane, TEXT, "?dry_run=true")
            assert (status, said["data"]["applied"], len(said["data"]["changes"])) == (200, False, 3)
        assert (await put(plane, TEXT, "?dry_run=false"))[1]["data"]["applied"]
        assert (await put(plane, TEXT, "?dry_run=maybe"))[0] == 400


async def test_what_is_refused_is_told_with_every_place():
    async with managed() as plane:
        status, said = await put(plane, TEXT + b"tokn = 'x'\n[[datamart.segment]]\nid = ''\n")
        assert status == 400
        assert said["error_code"] == "bad_definition"
        assert said["path"] == "datamart[0].channel[0].tokn"
        assert [one["path"] for one in said["faults"]] == ["datamart[0].channel[0].tokn", "datamart[0].segment[0].id"]
        assert "did you mean token?" in said["faults"][0]["error"]
        assert said["error_id"]
        assert (await put(plane, b"\xff"))[0] == 400
        assert (await get(plane))[1]["data"]["datamart"][0].get("goal") is None


async def test_what_is_defined_is_shown_with_its_versions():
    async with managed() as plane:
        await put(plane, TEXT + b"[[datamart.destination]]\nid = 'd'\nurl = 'http://x'\nsecret = 'very-very-secret'\n")
        status, said = await get(plane)
        assert status == 200
        (mart,) = said["data"]["datamart"]
        assert mart["channel"][0]["token"] == SITE
        assert mart["destination"][0]["secret"] == "***"
        assert ("goal", "sale", 1) in [(one["kind"], one["id"], one["version"]) for one in said["data"]["versions"]]
        assert said["data"]["set_aside"] == []
        await put(plane, TEXT.replace(b"'sale'", b"'sale'\nstatus = 'PAUSED'"))
        _, said = await get(plane, "/v1/definitions/1/goal/sale/versions")
        assert [(one["version"], one["value"]["status"]) for one in said["data"]] == [(2, "PAUSED"), (1, "ACTIVE")]
        _, said = await get(plane, "/v1/definitions/1/channel/site%3A1/versions")
        assert [one["id"] for one in said["data"]] == ["site:1"]
        assert (await get(plane, "/v1/definitions/1/goal/none/versions"))[1]["data"] == []
        assert (await get(plane, "/v1/definitions/x/goal/none/versions"))[0] == 404


@pytest.mark.parametrize(("token", "status"), [("", 401), ("nobody", 401), (SITE, 401)])
async def test_only_who_administers_all_datamarts_may(token: str, status: int):
    async with managed() as plane:
        assert (await put(plane, TEXT, token=token))[0] == status
        assert (await get(plane, token=token))[0] == status


async def test_a_token_that_may_only_send_is_told_that_it_may_not_see_versions():
    async with managed() as plane:
        assert (await get(plane, "/v1/definitions/1/goal/sale/versions", token=SITE))[0] == 403
