"""What identity needs to know of a user point."""

from msgspec import Struct

from engine.model.identifiers import Identifier


class Link(Struct, frozen=True, gc=False):
    """An identifier that belongs to a user point, since `linked_ms` (engine time)."""

    identifier: Identifier
    linked_ms: int


class PointView(Struct, frozen=True):
    """What is known of a user point.

    Attributes:
        user_point: its 16 bytes.
        first_sequence: journal sequence of the record that first named it; decides who survives a merge.
        identifiers: how many are linked to it, whenever that was.
        links: those linked within the longest window of the limits, or more of them.
        merges_ms: when others were merged into it, within that window or longer; engine time.
        absorbed: user points that are aliases of it, directly: chains are flattened with each merge.
    """

    user_point: bytes
    first_sequence: int
    identifiers: int = 0
    links: tuple[Link, ...] = ()
    merges_ms: tuple[int, ...] = ()
    absorbed: tuple[bytes, ...] = ()

    def linked(self, identifier: Identifier, now_ms: int) -> "PointView":
        """The point with one more identifier, which must not be linked to any point yet."""
        return PointView(
            user_point=self.user_point,
            first_sequence=self.first_sequence,
            identifiers=self.identifiers + 1,
            links=(*self.links, Link(identifier, now_ms)),
            merges_ms=self.merges_ms,
            absorbed=self.absorbed,
        )

    def forgetting(self, before_ms: int) -> "PointView":
        """The point without the times before `before_ms`, for a row that need not keep them."""
        return PointView(
            user_point=self.user_point,
            first_sequence=self.first_sequence,
            identifiers=self.identifiers,
            links=tuple(link for link in self.links if link.linked_ms >= before_ms),
            merges_ms=tuple(merged_ms for merged_ms in self.merges_ms if merged_ms >= before_ms),
            absorbed=self.absorbed,
        )
