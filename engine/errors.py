"""Every error the engine raises, sorted by whose fault it is and what to do next.

* `CallerError`: the input is wrong; sending it again unchanged is pointless (HTTP 4xx).
* `Overloaded`, `Unavailable`, `Closing`: nothing is wrong with the input; try again later (429, 503).
* `Broken`: the engine can no longer keep its promise; the process ends and says why.

Each class carries a stable `code`, which the gateway hands out as `error_code`.
"""

from collections.abc import Sequence


class SojournError(Exception):
    """Base of all errors raised on purpose by the engine."""

    code = "error"


class CallerError(SojournError):
    """The caller's input is wrong.

    Args:
        message: what is wrong, in one sentence.
        code: stable name of the fault, such as `no_user_identifier`.
        path: where in the input, as a JSON path (`$.$events[2].$ts`), or "" when it is the whole.
    """

    code = "bad_request"

    def __init__(self, message: str, *, code: str | None = None, path: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.path = path
        if code is not None:
            self.code = code


class IdempotencyConflict(CallerError):
    """An `Idempotency-Key` was used again with another body (decision 18)."""

    code = "idempotency_key_reused"


class BadDefinition(CallerError):
    """Definitions that cannot work; nothing of them was applied.

    Args:
        faults: each fault's path below the whole (`datamart[0].event_rule[3].pattern`) and what is wrong there.
    """

    code = "bad_definition"

    def __init__(self, faults: Sequence[tuple[str, str]]) -> None:
        message = "\n".join(f"{path}: {problem}" if path else problem for path, problem in faults)
        super().__init__(message, path=faults[0][0] if faults else "")
        self.faults = tuple(faults)


class Overloaded(SojournError):
    """A bound is reached; nothing of the request was taken. Try again after `retry_after_s` seconds."""

    code = "overloaded"

    def __init__(self, message: str, *, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after_s = retry_after_s


class HotUser(Overloaded):
    """One user point sends faster than its actor takes, or than it may; only that user is refused.

    Attributes:
        user_point: whose fault it is; b"" where that is not said.
        items: which items of the request are theirs, by index.
    """

    code = "hot_user"

    def __init__(self, message: str, *, user_point: bytes = b"", retry_after_s: int = 1) -> None:
        super().__init__(message, retry_after_s=retry_after_s)
        self.user_point = user_point
        self.items: tuple[int, ...] = ()


class Unavailable(SojournError):
    """The store cannot write at the moment (disk or map full). What was sent may still be stored, once."""

    code = "storage_unavailable"

    def __init__(self, message: str, *, retry_after_s: int = 2) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after_s = retry_after_s


class StoreFull(Unavailable):
    """A commit left nothing behind because there was no room; the same batch may be tried again."""

    code = "storage_full"


class Closing(SojournError):
    """The engine is stopping and takes no new work."""

    code = "closing"


class Broken(SojournError):
    """The engine cannot go on: it would have to accept what it cannot store."""

    code = "broken"


class StoreBroken(Broken):
    """A failed sync or an I/O error poisoned the store: no later write is allowed (house: How it fails)."""

    code = "store_broken"


class ActorFailed(Broken):
    """A permanent actor (a stage, the writer) failed more often than its restart limit allows."""

    code = "actor_failed"


class StoreLocked(SojournError):
    """Another engine works on this data directory."""

    code = "store_locked"


class StoreMissing(SojournError):
    """There is no store in the directory that is to be read."""

    code = "store_missing"


class SchemaTooNew(SojournError):
    """The store was written by a newer version; it was not touched."""

    code = "schema_too_new"


class BadSettings(SojournError):
    """The configuration has an unknown key or a value out of range."""

    code = "bad_settings"
