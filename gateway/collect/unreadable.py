"""Bodies that cannot be read, of senders we know: refused, and kept as dead letters all the same.

Nobody looks at what a page or a library is answered, and none of these sends again what was answered 400.
"""

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Final

from engine import CallerError, ItemError, ItemResult, Original, SojournError
from gateway.collect.collect import Collect, Step
from gateway.collect.reply import Answer, Pending, Reply
from gateway.errors import RequestError

MAX_KEPT_BYTES: Final = 64 * 1024
"""Of one refused input in its dead letter: what a browser sends in one beacon at most, and more than any event that
could have been taken. What is longer is cut, so that a public address does not fill the disk."""


def refuse_unreadable(
    collect: Collect, error: RequestError | CallerError, payload: bytes, *, datamart: int, protocol: str, step: Step
) -> Answer:
    """The refusal of a body, as soon as that is on disk.

    Args:
        collect: who keeps it.
        error: why it cannot be read; the answer is the protocol's own refusal for it.
        payload: the body as it was.
        datamart: of its sender.
        protocol, step: labels, as of `Collect.take`.

    Raises:
        RequestError, CallerError: `error`, where it cannot be kept: sent again it would be as unreadable.
    """
    fault = ItemError(error.code, str(error), error.path)
    original = Original(payload[:MAX_KEPT_BYTES], protocol, fault=fault)
    with suppress(SojournError):
        receipt = collect.take([b""], datamart=datamart, protocol=protocol, step=step, originals=[original])
        return Pending(receipt, partial(_refuse, error), datamart)
    collect.counters.items[protocol, "refused", error.code] += 1
    raise error


def _refuse(error: Exception, _: Sequence[ItemResult]) -> Reply:
    raise error
