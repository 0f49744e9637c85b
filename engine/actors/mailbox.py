"""What waits in front of one actor, bounded in messages and in bytes.

A Trio memory channel carries the messages; the mailbox counts them and what they weigh. Three rules beyond that:

* `offer` never waits. A full mailbox is the sender's news, to be passed on to whoever sent the work.
* An empty mailbox takes any single message, whatever its size: a legal request must never be refused for ever.
* `put` always succeeds. It is for the engine's own few words to an actor, which nobody could send again.

An actor costs its task, 2.7 kB, and its mailbox, 1.9 kB, nearly all of it the channel.
"""

import math
from dataclasses import dataclass
from typing import Generic, TypeVar

import trio

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class MailboxStatistics:
    """How full a mailbox is. `peak_messages` is the most that ever waited in it."""

    messages: int
    bytes: int
    max_messages: int
    max_bytes: int
    peak_messages: int


class Mailbox(Generic[T]):
    """A bounded queue from any number of senders to one actor.

    Args:
        max_messages: most messages that may wait; at least 1.
        max_bytes: most bytes that may wait, by what the senders say; an empty mailbox takes more.

    Attributes:
        messages: how many wait; only the mailbox changes it. See `is_empty`.
    """

    __slots__ = ("_bytes", "_max_bytes", "_max_messages", "_peak_messages", "_receiver", "_sender", "messages")

    def __init__(self, max_messages: int, max_bytes: int) -> None:
        # The bounds are kept by `has_room`; the channel's own would also stop `put`.
        sender, receiver = trio.open_memory_channel[tuple[T, int]](math.inf)
        self._sender = sender
        self._receiver = receiver
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        # Counted here, because a channel hands a message straight to a waiting task: it is then in no buffer, and
        # has not been taken either. These go down only when the actor really has the message.
        self.messages = 0
        self._bytes = 0
        self._peak_messages = 0

    def offer(self, message: T, size_bytes: int) -> bool:
        """Put a message in, or return False when there is no room for it.

        Raises:
            trio.ClosedResourceError: the mailbox was closed.
        """
        if not self.has_room(size_bytes):
            return False
        self.put(message, size_bytes)
        return True

    def put(self, message: T, size_bytes: int) -> None:
        """Put a message in, room or no room: for the engine's own few messages, which nobody could be refused.

        Raises:
            trio.ClosedResourceError: the mailbox was closed.
        """
        self._sender.send_nowait((message, size_bytes))
        self.messages += 1
        self._bytes += size_bytes
        self._peak_messages = max(self._peak_messages, self.messages)

    def has_room(self, size_bytes: int, messages: int = 1) -> bool:
        """Whether so many messages of so many bytes together would be taken now."""
        if self.messages + messages > self._max_messages:
            return False
        return self._bytes + size_bytes <= self._max_bytes or (self.messages == 0 and messages == 1)

    async def receive_all(self, limit: int) -> list[T]:
        """Wait for a message, then take with it what else is queued, at most `limit` together, in order.

        Cancelling loses nothing: a message is taken with the return, or it stays.

        Raises:
            trio.EndOfChannel: the mailbox is closed and empty.
        """
        message, size_bytes = await self._receiver.receive()
        taken = [message]
        while len(taken) < min(limit, self.messages):
            message, more_bytes = self._receiver.receive_nowait()
            taken.append(message)
            size_bytes += more_bytes
        self.messages -= len(taken)
        self._bytes -= size_bytes
        return taken

    def is_empty(self) -> bool:
        """Whether nothing waits. In the actor's own synchronous step this is the truth (house: how an actor ends)."""
        return self.messages == 0

    def close(self) -> None:
        """Take nothing more. The actor still gets what waits, then `trio.EndOfChannel`."""
        self._sender.close()

    def statistics(self) -> MailboxStatistics:
        return MailboxStatistics(
            messages=self.messages,
            bytes=self._bytes,
            max_messages=self._max_messages,
            max_bytes=self._max_bytes,
            peak_messages=self._peak_messages,
        )
