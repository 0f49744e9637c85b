"""What plugins ask the platform for (mediarithmics 6.3, 6.4), and who may ask."""

import base64
import json
from contextlib import asynccontextmanager

import pytest

from engine import MemoryStore, open_engine
from engine.actors.plugin_desk import MAX_FILES
from gateway.api import plugins
from gateway.collect.collect import Collect
from gateway.collect.plane import Waiting
from gateway.collect.reply import Reply
from gateway.collect.request import Request
from tests.gateway.engines import plane_of, settings_for_tests

PROPERTY = {"technical_name": "processed_by", "value": {"value": "me"}}
DEFINITIONS = {
    "datamart": [
        {
            "id": 1,
            "channel": [{"id": "1"}],
            "analyzer": [
                {
                    "id": "42",
                    "name": "one",
                    "url": "http://plugin",
                    "worker_id": "w",
                    "token": "t",
                    "property": [PROPERTY],
                },
                {"id": "43", "url": "http://plugin", "worker_id": "w", "token": "t", "group_id": "com.example"},
                {"id": "44", "url": "http://plugin", "worker_id": "other", "token": "t2"},
                {"id": "45", "url": "http://plugin"},
            ],
        }
    ]
}


@asynccontextmanager
async def plane(**overrides):
    """A function that asks the API plane as a plugin does: method, path, then credentials and body."""
    settings = settings_for_tests(**overrides)
    async with open_engine(settings, store=MemoryStore()) as engine:
        await engine.apply(DEFINITIONS)
        collect = Collect(engine, settings)
        found = plane_of(collect, plugins.routes(engine, settings))

        async def ask(method, path, who="w:t", body=b"", query=""):
            headers = {"authorization": f"Basic {base64.b64encode(who.encode()).decode()}"} if who else {}
            answer = found.answer(Request(method=method, path=path, raw_query=query, headers=headers, body=body))
            if isinstance(answer, Waiting):
                answer = answer.wait()
            return answer if isinstance(answer, Reply) else await answer

        yield ask


async def test_an_analyzer_and_its_properties():
    async with plane() as ask:
        reply = await ask("GET", "/v1/activity_analyzers/42")
        body = json.loads(reply.body)
        assert (reply.status, body["status"]) == (200, "ok")
        assert {**body["data"], "artifact_id": "one"} == body["data"]
        assert (body["data"]["id"], body["data"]["error_recovery_strategy"]) == ("42", "STORE_WITH_ERROR_ID")
        reply = await ask("GET", "/v1/activity_analyzers/42/properties")
        body = json.loads(reply.body)
        assert (body["status"], body["count"]) == ("ok", 1)
        assert body["data"] == [
            PROPERTY | {"property_type": "STRING", "origin": "INSTANCE", "writable": True, "deletable": False}
        ]
        reply = await ask("GET", "/v1/activity_analyzers/43/properties")
        assert json.loads(reply.body)["data"] == []


@pytest.mark.parametrize("who", ["", "w:wrong", "nobody:t", "other:t", "w", ":", "é:ü"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/activity_analyzers/42"),
        ("GET", "/v1/activity_analyzers/42/properties"),
        ("GET", "/v1/data_file/data"),
        ("GET", "/v1/configuration/technical_name=a"),
        ("PUT", "/v1/configuration/technical_name=a"),
    ],
)
async def test_who_is_nobody_gets_nothing(method, path, who):
    async with plane() as ask:
        reply = await ask(method, path, who, query="uri=a")
        assert (reply.status, json.loads(reply.body)["status"]) == (401, "error")
        assert ("www-authenticate", 'Basic realm="plugins"') in reply.headers


@pytest.mark.parametrize("id", ["44", "45", "46", "42x"])
async def test_what_is_not_its_own_is_not_there(id):
    async with plane() as ask:
        assert (await ask("GET", f"/v1/activity_analyzers/{id}")).status == 404


async def test_credentials_that_are_no_basic_ones():
    settings = settings_for_tests()
    async with open_engine(settings, store=MemoryStore()) as engine:
        await engine.apply(DEFINITIONS)
        found = plane_of(Collect(engine, settings), plugins.routes(engine, settings))
        for value in ("Basic !!!", "Basic", "Bearer w:t", "Basic " + base64.b64encode(b"\xff:\xff").decode()):
            reply = found.answer(Request(path="/v1/activity_analyzers/42", headers={"authorization": value}))
            assert isinstance(reply, Reply)
            assert reply.status == 401


class TestDataFiles:
    @pytest.fixture
    def folder(self, tmp_path):
        (tmp_path / "files" / "shop").mkdir(parents=True)
        (tmp_path / "files" / "shop" / "labels.json").write_bytes(b"\x00\xff")
        (tmp_path / "secret").write_text("not to be seen")
        (tmp_path / "files" / "link").symlink_to(tmp_path / "secret")
        return tmp_path / "files"

    @pytest.mark.parametrize("uri", ["mics://data_file/shop/labels.json", "shop/labels.json"])
    async def test_one_is_given_as_it_is(self, folder, uri):
        async with plane(analyzers__data_files=str(folder)) as ask:
            reply = await ask("GET", "/v1/data_file/data", query=f"uri={uri}")
            assert (reply.status, reply.body) == (200, b"\x00\xff")
            assert ("content-type", "application/octet-stream") in reply.headers

    @pytest.mark.parametrize(
        "uri",
        [
            "../secret",
            "shop/../../secret",
            "mics://data_file/../secret",
            "mics://data_file//etc/passwd",
            "/etc/passwd",
            "link",
            "shop",
            "%00",
            "..%2Fsecret",
            "x" * 5000,
            "nowhere",
            "mics://data_file/",
        ],
    )
    async def test_outside_of_the_folder_there_is_nothing(self, folder, uri):
        async with plane(analyzers__data_files=str(folder)) as ask:
            assert (await ask("GET", "/v1/data_file/data", query=f"uri={uri}")).status == 404

    async def test_without_a_folder_there_are_none(self):
        async with plane() as ask:
            assert (await ask("GET", "/v1/data_file/data", query="uri=a")).status == 404
            assert (await ask("GET", "/v1/data_file/data")).status == 400


class TestConfiguration:
    async def test_what_is_put_is_got_by_its_plugin_alone(self):
        async with plane() as ask:
            path = "/v1/configuration/technical_name=my%20file"
            assert (await ask("GET", path)).status == 404
            for content in (b"\x00\xff", b""):
                assert (await ask("PUT", path, body=content)).status == 200
                reply = await ask("GET", path)
                assert (reply.status, reply.body) == (200, content)
            assert (await ask("GET", path, "other:t2")).status == 404

    async def test_what_it_may_not_be_called(self):
        async with plane() as ask:
            assert (await ask("PUT", "/v1/configuration/technical_name=")).status == 404
            assert (await ask("PUT", "/v1/configuration/other")).status == 404
            assert (await ask("PUT", f"/v1/configuration/technical_name={'x' * 201}")).status == 400

    async def test_how_large_and_how_many(self):
        async with plane() as ask:
            reply = await ask("PUT", "/v1/configuration/technical_name=a", body=b"x" * ((1 << 20) + 1))
            assert (reply.status, json.loads(reply.body)["error_code"]) == (400, "file_too_large")
            for number in range(MAX_FILES):
                assert (await ask("PUT", f"/v1/configuration/technical_name={number}", body=b"x")).status == 200
            reply = await ask("PUT", "/v1/configuration/technical_name=more", body=b"x")
            assert (reply.status, json.loads(reply.body)["error_code"]) == (400, "too_many_files")
            assert (await ask("PUT", "/v1/configuration/technical_name=7", body=b"y")).status == 200
