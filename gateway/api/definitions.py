"""`/v1/definitions`: what is defined, and applying a file of it; for tokens that administer all datamarts."""

from functools import partial
from uuid import uuid4

from engine import BadDefinition, Engine
from gateway.access import require
from gateway.collect.reply import Reply, json_reply, ok
from gateway.collect.request import Request
from gateway.collect.routes import Route


async def get_definitions(engine: Engine, request: Request) -> Reply:
    """All that is defined now, as a file would say it, secrets masked, with the version of each definition.

    Raises:
        RequestError: 401, 403.
    """
    require(engine, request.headers, scope="admin", datamart=None)
    return ok(await engine.definitions())


async def get_versions(engine: Engine, request: Request) -> Reply:
    """The versions of one definition, newest first; an empty list for one that there never was.

    Raises:
        RequestError: 401, 403; 404, no such datamart can be.
    """
    datamart = request.datamart()
    require(engine, request.headers, scope="admin", datamart=datamart)
    return ok(await engine.definition_versions(datamart, request.params["kind"], request.params["id"]))


async def put_definitions(engine: Engine, request: Request) -> Reply:
    """Apply the body, TOML or JSON; with `dry_run=true` only tell what would be different.

    What cannot work is answered 400 with `faults`, each with its path; nothing of it is applied then.

    Raises:
        RequestError: 400, 401, 403.
        Unavailable, Overloaded, Closing, Broken: nothing was applied; 503.
    """
    require(engine, request.headers, scope="admin", datamart=None)
    dry_run = request.flag("dry_run") is True
    try:
        found = await engine.apply(request.body, dry_run=dry_run)
    except BadDefinition as error:
        faults = [{"path": path, "error": problem} for path, problem in error.faults]
        body = {"status": "error", "error": str(error), "error_id": str(uuid4()), "error_code": error.code}
        return json_reply({**body, "path": error.path, "faults": faults}, status=400)
    return ok(found)


def routes(engine: Engine) -> tuple[Route, ...]:
    """Where definitions are read and applied."""
    return (
        Route("GET", "/v1/definitions", partial(get_definitions, engine)),
        Route("PUT", "/v1/definitions", partial(put_definitions, engine)),
        Route("GET", "/v1/definitions/:datamart/:kind/:id/versions", partial(get_versions, engine)),
    )
