"""What the two kinds of callers share: how a call ends, and what it is measured by."""

from typing import Protocol

from engine.pipeline.stage import Answer, Question


class CallFailed(Exception):
    """A call has failed; its text is the reason, for people."""


class Caller(Protocol):
    """Takes a question to somebody and brings the answer back."""

    async def call(self, question: Question) -> Answer:
        """The answer.

        Raises:
            CallFailed: there is none; it may be tried again with another question.
        """
        ...

    async def aclose(self) -> None:
        """Leave nothing behind: no process, no socket. Nobody calls any more."""
        ...

    async def rest(self) -> None:
        """Nobody has called for a while: give back what costs something. The next call gets it anew."""
        ...

    def gauges(self) -> dict[str, float]:
        """How it is, by name."""
        ...
