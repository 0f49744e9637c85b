"""What plugins ask the platform for (mediarithmics 6.3, 6.4): their analyzers, data files, their own configuration.

    GET      /v1/activity_analyzers/:id                     the analyzer
    GET      /v1/activity_analyzers/:id/properties          its properties
    GET      /v1/data_file/data?uri=mics://data_file/…      a file of the folder `analyzers.data_files`
    GET|PUT  /v1/configuration/technical_name=:name         a file that the plugin keeps here

A plugin proves who it is by basic authentication with the `worker_id` and `token` of its analyzers. The platform's SDK
finds this plane by the environment: `GATEWAY_HOST`, `GATEWAY_PORT`, `PLUGIN_WORKER_ID`, `PLUGIN_AUTHENTICATION_TOKEN`.
"""

import base64
import binascii
from functools import partial
from pathlib import Path
from typing import Any, Final

import trio

from engine import Engine, PluginAnalyzer, Settings
from gateway.collect.reply import Reply, ok, ok_list
from gateway.collect.request import Request
from gateway.collect.routes import Route
from gateway.errors import RequestError

SCHEME: Final = "mics://data_file/"
"""Of the addresses of data files; a path alone is understood as well."""

MAX_DATA_FILE_BYTES: Final = 64 << 20
"""An answer is made in memory."""

BINARY: Final = ("content-type", "application/octet-stream")

_NAMED: Final = "technical_name="


def get_analyzer(engine: Engine, request: Request) -> Reply:
    """An analyzer of the plugin.

    Raises:
        RequestError: 401, 404.
    """
    found = _analyzer(engine, request)
    analyzer = found.analyzer
    return ok(
        {
            "id": analyzer.id,
            "name": analyzer.name,
            # There are no organisations here: a datamart is as much apart from others as one of those.
            "organisation_id": str(found.datamart),
            "datamart_id": str(found.datamart),
            "group_id": analyzer.group_id,
            "artifact_id": analyzer.artifact_id or analyzer.name,
            "version_id": None,
            "version_value": analyzer.version_value,
            "visit_analyzer_plugin_id": None,
            "error_recovery_strategy": analyzer.error_recovery_strategy,
        }
    )


def get_properties(engine: Engine, request: Request) -> Reply:
    """The properties of an analyzer of the plugin.

    Raises:
        RequestError: 401, 404.
    """
    found = _analyzer(engine, request).analyzer.properties
    shown: list[dict[str, Any]] = [
        {
            "technical_name": one.technical_name,
            "value": one.value,
            "property_type": one.property_type,
            "origin": "INSTANCE",
            "writable": True,
            "deletable": False,
        }
        for one in found
    ]
    return ok_list(shown, max_results=len(shown))


async def get_data_file(engine: Engine, settings: Settings, request: Request) -> Reply:
    """A data file, as it is.

    Raises:
        RequestError: 400, 401; 404, it is not in the folder, or there is none.
    """
    _worker(engine, request)
    uri = request.parameter("uri")
    if not uri:
        raise RequestError(400, "bad_parameter", "`uri` is needed", path="uri")
    folder = settings.analyzers.data_files
    content = await trio.to_thread.run_sync(_read, folder, uri.removeprefix(SCHEME)) if folder else None
    if content is None:
        raise RequestError(404, "not_found", "Resource Not Found")
    return Reply(200, (BINARY,), content)


def get_configuration(engine: Engine, request: Request) -> Reply:
    """A file that the plugin keeps here.

    Raises:
        RequestError: 401, 404.
        CallerError: it cannot have this name.
    """
    content = engine.plugins.configuration(_worker(engine, request), _name(request))
    if content is None:
        raise RequestError(404, "not_found", "Resource Not Found")
    return Reply(200, (BINARY,), content)


async def put_configuration(engine: Engine, request: Request) -> Reply:
    """Keep a file for the plugin.

    Raises:
        RequestError: 401, 404.
        CallerError: it cannot have this name, it is too large, or there are too many.
        SojournError: it cannot be kept now.
    """
    name = _name(request)
    await engine.plugins.keep_configuration(_worker(engine, request), name, request.body)
    return ok({"technical_name": name})


def routes(engine: Engine, settings: Settings) -> tuple[Route, ...]:
    """Where plugins ask."""
    return (
        Route("GET", "/v1/activity_analyzers/:id", partial(get_analyzer, engine), protocol="plugin"),
        Route("GET", "/v1/activity_analyzers/:id/properties", partial(get_properties, engine), protocol="plugin"),
        Route("GET", "/v1/data_file/data", partial(get_data_file, engine, settings), protocol="plugin"),
        Route("GET", "/v1/configuration/:name", partial(get_configuration, engine), protocol="plugin"),
        Route("PUT", "/v1/configuration/:name", partial(put_configuration, engine), protocol="plugin"),
    )


def _analyzer(engine: Engine, request: Request) -> PluginAnalyzer:
    found = _own(engine, request)
    one = next((one for one in found if one.analyzer.id == request.params["id"]), None)
    if one is None:
        raise RequestError(404, "not_found", "Resource Not Found")
    return one


def _worker(engine: Engine, request: Request) -> str:
    return _own(engine, request)[0].analyzer.worker_id


def _own(engine: Engine, request: Request) -> tuple[PluginAnalyzer, ...]:
    """The analyzers of who asks; at least one."""
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            text = base64.b64decode(given.strip(), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            text = ""
        worker_id, colon, token = text.partition(":")
        found = engine.plugins.analyzers(worker_id, token) if colon else ()
        if found:
            return found
    raise RequestError(
        401,
        "unauthorized",
        "basic authentication with the worker_id and token of an analyzer is needed",
        headers={"www-authenticate": 'Basic realm="plugins"'},
    )


def _name(request: Request) -> str:
    name: str = request.params["name"]
    if not name.startswith(_NAMED) or name == _NAMED:
        raise RequestError(404, "not_found", "Resource Not Found")
    return name.removeprefix(_NAMED)


def _read(folder: str, path: str) -> bytes | None:
    """A file below the folder, wherever a link or `..` would lead: outside of it there is nothing."""
    try:
        root = Path(folder).resolve(strict=True)
        found = (root / path).resolve(strict=True)
        if not found.is_relative_to(root) or not found.is_file() or found.stat().st_size > MAX_DATA_FILE_BYTES:
            return None
        return found.read_bytes()
    except (OSError, ValueError, RuntimeError):
        return None
