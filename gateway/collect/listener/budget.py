"""What all connections of a listener hold in memory together, bounded."""

from typing import Final

from gateway.errors import RequestError, retry_after

_RETRY_S: Final = 1
"""Bodies come and go within a second or so, unless the machine is drowning."""


class Budget:
    """Bytes that are on their way in or out.

    Args:
        max_bytes: the bound.

    Attributes:
        used_bytes: of it, now.
        refusals: how often there was no room.
    """

    __slots__ = ("max_bytes", "refusals", "used_bytes")

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.used_bytes = 0
        self.refusals = 0

    def take(self, size_bytes: int) -> bool:
        """Take so much, if there is room."""
        if self.used_bytes + size_bytes > self.max_bytes:
            self.refusals += 1
            return False
        self.used_bytes += size_bytes
        return True

    def give(self, size_bytes: int) -> None:
        """Give so much back."""
        self.used_bytes -= size_bytes

    def refusal(self) -> RequestError:
        """What a sender is told for whom there is no room."""
        text = f"requests on their way hold {self.max_bytes} bytes"
        return RequestError(503, "overloaded", text, headers={"retry-after": retry_after(_RETRY_S)})
