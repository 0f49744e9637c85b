"""From a step that has questions to its verdict: at once where all answers are at hand, else by waiting.

Answers stay with the envelope. Going through the steps once more, with the same questions, nobody is asked again.
"""

import hashlib
from collections.abc import Awaitable, Callable, Generator
from typing import Protocol

from engine.pipeline.stage import Answer, Asking, Envelope, Question, Verdict


class Oracle(Protocol):
    """Who has the answers."""

    def at_once(self, question: Question) -> Answer | None:
        """The answer where nobody need be waited for; else None."""
        ...

    async def ask(self, question: Question) -> Answer:
        """The answer. Never raises but when cancelled: what goes wrong is a failed answer."""
        ...


class Nobody:
    """Nobody can be asked anything: every question fails."""

    def at_once(self, question: Question) -> Answer | None:
        """As `Oracle.at_once`."""
        return Answer("failed", reason="nobody is there to be asked")

    async def ask(self, question: Question) -> Answer:
        """As `Oracle.ask`."""
        return Answer("failed", reason="nobody is there to be asked")


def answered(
    asking: Asking, envelope: Envelope, oracle: Oracle, then: Callable[[Verdict], Verdict]
) -> Verdict | Awaitable[Verdict]:
    """Go on with what is known already.

    Args:
        asking: a step that has just begun.
        envelope: whose answers they are.
        oracle: who is asked.
        then: called with the verdict.

    Returns:
        The verdict; or, where somebody must be waited for, what waits for it. That may be left alone: whoever begins
        the step again finds the answers there have been.
    """
    try:
        question = next(asking)
        # What is said at once is said again, and need not be remembered.
        while (answer := _recall(envelope, question) or oracle.at_once(question)) is not None:
            question = asking.send(answer)
    except StopIteration as end:
        return then(end.value)
    return Waiting(asking, question, envelope, oracle, then)


class Waiting:
    """A step that has asked somebody who takes time; awaiting it gives the verdict. To be awaited once."""

    __slots__ = ("_asking", "_envelope", "_oracle", "_question", "_then")

    def __init__(
        self,
        asking: Asking,
        question: Question,
        envelope: Envelope,
        oracle: Oracle,
        then: Callable[[Verdict], Verdict],
    ) -> None:
        self._asking = asking
        self._question = question
        self._envelope = envelope
        self._oracle = oracle
        self._then = then

    def __await__(self) -> Generator[object, object, Verdict]:
        return self._answered().__await__()

    async def _answered(self) -> Verdict:
        question = self._question
        try:
            while True:
                answer = _recall(self._envelope, question) or self._oracle.at_once(question)
                if answer is None:
                    answer = await self._oracle.ask(question)
                _remember(self._envelope, question, answer)
                question = self._asking.send(answer)
        except StopIteration as end:
            return self._then(end.value)


def _recall(envelope: Envelope, question: Question) -> Answer | None:
    return envelope.answers.get(_digest(question)) if envelope.answers else None


def _remember(envelope: Envelope, question: Question, answer: Answer) -> None:
    if envelope.answers is None:
        envelope.answers = {}
    envelope.answers.setdefault(_digest(question), answer)


def _digest(question: Question) -> bytes:
    asked = hashlib.blake2b(question.activity, digest_size=16)
    asked.update(question.analyzer.id.encode())
    return asked.digest()
