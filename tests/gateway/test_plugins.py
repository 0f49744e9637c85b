"""What plugins ask the platform for (mediarithmics 6.3, 6.4), and who may ask."""

import base64
import json
from contextlib import asynccontextmanager

import pytest

from engine import MemoryStore, open_engine
from engine.actors.plugin_desk import MAX_FILES
from engine.errors import BadDefinition
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

    @pytest.mark.parametrize("name", ["b/x", "b%2Fx", "%2Fx", "..%2Fx", "..%2Fab%2Fx", "%2E%2E%2Fab%2Fx"])
    async def test_a_name_never_leads_to_a_file_of_another_plugin(self, name, monkeypatch):
        both = [
            {"id": id, "url": "http://plugin", "worker_id": worker, "token": "t" + worker}
            for id, worker in (("1", "a"), ("2", "ab"), ("3", "a.b"))
        ]
        monkeypatch.setitem(DEFINITIONS, "datamart", [{"id": 1, "channel": [{"id": "1"}], "analyzer": both}])
        async with plane() as ask:
            for who in ("ab:tab", "a.b:ta.b"):
                for own in ("x", name):
                    await ask("PUT", f"/v1/configuration/technical_name={own}", who, b"of another")
            assert (await ask("GET", f"/v1/configuration/technical_name={name}", "a:ta")).status == 404


def analyzer_of(worker_id, token, datamart=1):
    one = {"id": "1", "url": "http://plugin", "worker_id": worker_id, "token": token}
    return {"datamart": [{"id": datamart, "channel": [{"id": "1"}], "analyzer": [one]}]}


@pytest.mark.parametrize("worker_id", ["a/b", "/", "a b", "ä", "a\n", "x" * 65])
async def test_a_worker_id_is_an_id(worker_id):
    async with open_engine(settings_for_tests(), store=MemoryStore()) as engine:
        with pytest.raises(BadDefinition) as error:
            await engine.apply(analyzer_of(worker_id, "t"))
        assert error.value.faults[0][0] == "datamart[0].analyzer[0].worker_id"


async def test_a_worker_has_one_token_in_all_datamarts():
    """Also where they are applied one after the other: it would be two plugins with the same files."""
    async with open_engine(settings_for_tests(), store=MemoryStore()) as engine:
        await engine.apply(analyzer_of("w", "t1"))
        await engine.apply(analyzer_of("w", "t1", datamart=2))
        with pytest.raises(BadDefinition) as error:
            await engine.apply(analyzer_of("w", "t2", datamart=2))
        assert [path for path, _ in error.value.faults] == ["datamart[0].analyzer[0].token"]
        assert "t1" not in str(error.value).replace("token", "")
        both = {"datamart": [analyzer_of("w", "t2", one)["datamart"][0] for one in (1, 2)]}
        await engine.apply(both)  # A token is changed in all of them together.
