"""The one place where an error becomes a status, an `error_code` and the platform's envelope (mediarithmics 11.4).

Whose fault it is decides: the caller's input 400, a key used twice 422, one user too fast 429, the engine busy, full,
stopping or broken 503 with `Retry-After`. What is none of these is a fault of ours: it is logged with its `error_id`
and answered 500, and no input may bring it about.
"""

import random
from collections.abc import Mapping
from traceback import format_exception
from uuid import uuid4

from engine import (
    Broken,
    CallerError,
    Closing,
    HotUser,
    IdempotencyConflict,
    Overloaded,
    SojournError,
    Unavailable,
    log,
)
from gateway.collect.reply import Reply, json_reply

STATUS_OF: tuple[tuple[type[SojournError], int], ...] = (
    (IdempotencyConflict, 422),
    (CallerError, 400),
    (HotUser, 429),
    (Overloaded, 503),
    (Unavailable, 503),
    (Closing, 503),
    (Broken, 503),
)
"""Engine error → status; the first row that fits holds."""

RETRY_AFTER_S = 5
"""For errors that do not know themselves when to come back: a restart takes about this long."""


class RequestError(Exception):
    """A request that the gateway itself refuses.

    Args:
        status: HTTP status.
        code: stable name, the envelope's `error_code`.
        message: what is wrong, in one sentence.
        path: name of the parameter or place in the input, or "".
        headers: further headers of the reply.
    """

    def __init__(
        self, status: int, code: str, message: str, *, path: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.path = path
        self.headers = dict(headers or {})


def error_reply(
    status: int,
    code: str,
    message: str,
    *,
    path: str = "",
    headers: Mapping[str, str] | None = None,
    error_id: str = "",
) -> Reply:
    """The envelope of an error: `status`, `error`, `error_id`, `error_code`, and `path` where a place is known."""
    body = {"status": "error", "error": message, "error_id": error_id or str(uuid4()), "error_code": code}
    if path:
        body["path"] = path
    return json_reply(body, status=status, headers=tuple((headers or {}).items()))


def reply_for(error: BaseException) -> Reply:
    """The reply that an exception stands for; an unexpected one is logged and answered 500."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    if isinstance(error, RequestError):
        return error_reply(error.status, error.code, error.message, path=error.path, headers=error.headers)
    for kind, status in STATUS_OF:
        if isinstance(error, kind):
            headers = {"retry-after": _retry_after(error)} if status in (429, 503) else {}
            path = error.path if isinstance(error, CallerError) else ""
            return error_reply(status, error.code, str(error) or error.code, path=path, headers=headers)
    error_id = str(uuid4())
    log("request failed", "error", error_id=error_id, traceback="".join(format_exception(error)))
    return error_reply(500, "internal_error", "internal error; the log names it by error_id", error_id=error_id)


def retry_after(asked_s: int) -> str:
    """`Retry-After` in whole seconds, up to twice the asked time: refused senders shall not all come back at once."""
    return str(random.randint(max(1, asked_s), max(1, 2 * asked_s)))


def _retry_after(error: SojournError) -> str:
    return retry_after(error.retry_after_s if isinstance(error, Overloaded | Unavailable) else RETRY_AFTER_S)
