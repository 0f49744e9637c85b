"""The table of errors: each of the engine's has its status, whatever else happens is logged and 500."""

import inspect
import json
from uuid import UUID

import pytest

import engine.errors
import gateway.errors
from engine.errors import (
    ActorFailed,
    BadDefinition,
    Broken,
    CallerError,
    Closing,
    HotUser,
    IdempotencyConflict,
    Overloaded,
    SojournError,
    StoreBroken,
    StoreFull,
    Unavailable,
)
from gateway.collect.reply import Reply
from gateway.errors import RETRY_AFTER_S, RequestError, reply_for

# At the start only: no request meets them.
NOT_FOR_REQUESTS = {"SojournError", "StoreLocked", "StoreMissing", "SchemaTooNew", "BadSettings"}

TABLE: list[tuple[SojournError, int, str, int | None]] = [
    (CallerError("bad", code="unknown_channel", path="$.$site_id"), 400, "unknown_channel", None),
    (CallerError("bad"), 400, "bad_request", None),
    (BadDefinition([("datamart[0].goal[1].query", "bad")]), 400, "bad_definition", None),
    (IdempotencyConflict("again"), 422, "idempotency_key_reused", None),
    (HotUser("slow down", retry_after_s=3), 429, "hot_user", 3),
    (Overloaded("busy"), 503, "overloaded", 1),
    (Unavailable("full", retry_after_s=7), 503, "storage_unavailable", 7),
    (StoreFull("full"), 503, "storage_full", 2),
    (Closing("bye"), 503, "closing", RETRY_AFTER_S),
    (Broken("gone"), 503, "broken", RETRY_AFTER_S),
    (StoreBroken("gone"), 503, "store_broken", RETRY_AFTER_S),
    (ActorFailed("gone"), 503, "actor_failed", RETRY_AFTER_S),
]


def envelope(reply: Reply) -> dict[str, object]:
    body = json.loads(reply.body)
    assert body["status"] == "error"
    assert UUID(body["error_id"])
    assert dict(reply.headers)["content-type"].startswith("application/json")
    return body


@pytest.mark.parametrize(("error", "status", "code", "retry_s"), TABLE)
def test_an_error_of_the_engine(error: SojournError, status: int, code: str, retry_s: int | None):
    reply = reply_for(error)
    body = envelope(reply)
    assert (reply.status, body["error_code"], body["error"]) == (status, code, str(error))
    assert body.get("path", "") == getattr(error, "path", "")
    if retry_s is None:
        assert "retry-after" not in dict(reply.headers)
    else:
        after = {int(dict(reply_for(error).headers)["retry-after"]) for _ in range(50)}
        assert min(after) >= retry_s
        assert max(after) <= 2 * retry_s
        assert len(after) > 1, "all would come back at once"


def test_the_table_has_every_error_that_a_request_can_meet():
    known = {
        name for name, found in inspect.getmembers(engine.errors, inspect.isclass) if issubclass(found, SojournError)
    }
    assert {type(error).__name__ for error, *_ in TABLE} == known - NOT_FOR_REQUESTS


def test_a_refusal_of_the_gateway_keeps_its_headers():
    reply = reply_for(RequestError(405, "method_not_allowed", "no", headers={"allow": "GET"}))
    assert (reply.status, dict(reply.headers)["allow"], envelope(reply)["error"]) == (405, "GET", "no")


def test_an_error_in_a_group_is_itself():
    assert reply_for(ExceptionGroup("", [ExceptionGroup("", [Overloaded("busy")])])).status == 503


@pytest.mark.parametrize("error", [RuntimeError("secret"), ExceptionGroup("", [ValueError("secret"), KeyError(1)])])
def test_anything_else_is_logged_by_its_id_and_tells_nothing(error: Exception, monkeypatch: pytest.MonkeyPatch):
    lines: list[str] = []
    monkeypatch.setattr(gateway.errors, "log", lambda *told, **more: lines.append(f"{told} {more}"))
    reply = reply_for(error)
    assert reply.status == 500
    assert b"secret" not in reply.body
    (logged,) = lines
    assert str(envelope(reply)["error_id"]) in logged
    assert "secret" in logged
