"""A plugin over HTTP: the platform's protocol (mediarithmics 6.4), tried again where that may help (decision 28)."""

import random
from typing import Final

import trio
from msgspec import Raw, Struct

from engine.actors.analysts.calls import CallFailed
from engine.actors.analysts.http_client import HttpClient, Response, Unreachable
from engine.definitions.declared.analyzers import Analyzer
from engine.errors import CallerError
from engine.model.wire import NULL, decode, decoder, encode, encode_fields
from engine.pipeline.stage import Answer, Question
from engine.settings import AnalyzersSettings

PATH: Final = "/v1/activity_analysis"

FIRST_PAUSE_S: Final = 0.1
"""Before the first retry; each further one waits twice as long, and all of them half as long to half as long again, so
that those who were refused together do not come back together."""

QUOTED_CHARS: Final = 200
"""Of an error's body, in the reason."""

TRY_AGAIN: Final = (429, 503)


class _Answered(Struct):
    status: str = ""
    data: Raw = Raw(b"")


_answered = decoder(_Answered)


class Plugin:
    """Asks one plugin.

    Args:
        analyzer: whose it is.
        settings: retries and sizes.
    """

    def __init__(self, analyzer: Analyzer, settings: AnalyzersSettings) -> None:
        self._analyzer = analyzer
        self._settings = settings
        self._client = HttpClient(analyzer.url.rstrip("/") + PATH, settings.max_answer_bytes)
        self._retried = 0

    async def call(self, question: Question) -> Answer:
        """As `Caller.call`."""
        body = encode_fields(
            {
                "activity_analyzer_id": Raw(encode(question.analyzer.id)),
                "datamart_id": Raw(encode(str(question.datamart))),
                "channel_id": Raw(encode(question.channel_id)),
                "activity": Raw(question.activity),
            }
        )
        left = self._settings.retries
        while True:
            asked_for = ""
            try:
                response = await self._once(body)
                if response.status not in TRY_AGAIN:
                    return _read(response)
                reason, asked_for = _refusal(response), response.retry_after
            except Unreachable as error:
                reason = str(error)
            if left == 0:
                raise CallFailed(f"{reason}, {self._settings.retries + 1} times")
            pause_s = self._pause_s(self._settings.retries - left, asked_for)
            left -= 1
            self._retried += 1
            await trio.sleep(pause_s)

    async def aclose(self) -> None:
        """As `Caller.aclose`."""
        await self._client.aclose()

    async def rest(self) -> None:
        """As `Caller.rest`."""
        await self._client.aclose()

    def gauges(self) -> dict[str, float]:
        """As `Caller.gauges`."""
        return {"retries": self._retried, "connects": self._client.connects, "idle_connections": self._client.idle}

    async def _once(self, body: bytes) -> Response:
        with trio.move_on_after(self._analyzer.timeout_ms / 1000):
            return await self._client.post(body)
        raise CallFailed(f"no answer within {self._analyzer.timeout_ms} ms")

    def _pause_s(self, number: int, asked_for: str) -> float:
        pause_s: float = FIRST_PAUSE_S * 2**number * random.uniform(0.5, 1.5)
        if asked_for.isascii() and asked_for.isdecimal() and len(asked_for) < 10:
            pause_s = max(pause_s, int(asked_for))
        return min(pause_s, self._settings.max_retry_after_s)


def _read(response: Response) -> Answer:
    if response.status != 200:
        raise CallFailed(_refusal(response))
    try:
        answered = decode(_answered, response.body)
    except CallerError as error:
        raise CallFailed(f"the answer cannot be read: {error.path}: {error.message}") from None
    if answered.status == "drop":
        return Answer("drop")
    if answered.status != "ok":
        raise CallFailed(f"the answer's status is {answered.status[:QUOTED_CHARS]!r}")
    data = bytes(answered.data)
    if data in (b"", NULL):
        raise CallFailed("the answer is `ok` without `data`")
    return Answer("ok", data)


def _refusal(response: Response) -> str:
    quoted = response.body[: 4 * QUOTED_CHARS].decode("utf-8", "replace").strip()[:QUOTED_CHARS]
    return f"HTTP {response.status}" + (f": {quoted}" if quoted else "")
