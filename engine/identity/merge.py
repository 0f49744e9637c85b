"""When two known user points meet: one survives, the other becomes an alias (decision 3)."""

from msgspec import Struct

from engine.identity.points import PointView


class Merged(Struct, frozen=True):
    """The outcome of a merge.

    Attributes:
        point: the survivor, with the links, merges and aliases of both.
        absorbed: the user point that becomes an alias.
        aliases: all whose alias row must name the survivor now: the absorbed one, and what it had absorbed. So every
            alias is one step from its survivor, and a chain never forms.
    """

    point: PointView
    absorbed: bytes
    aliases: tuple[bytes, ...]


def merge(one: PointView, other: PointView, *, now_ms: int) -> Merged:
    """Merge two different user points; which comes first does not matter.

    The links keep their times: what a person gathered within the week is the same from both sides.

    Raises:
        ValueError: they are the same user point.
    """
    if one.user_point == other.user_point:
        raise ValueError("a user point does not merge with itself")
    survivor, absorbed = sorted((one, other), key=lambda point: (point.first_sequence, point.user_point))
    aliases = (absorbed.user_point, *absorbed.absorbed)
    point = PointView(
        user_point=survivor.user_point,
        first_sequence=survivor.first_sequence,
        identifiers=survivor.identifiers + absorbed.identifiers,
        links=tuple(sorted((*survivor.links, *absorbed.links), key=lambda link: (link.linked_ms, link.identifier))),
        merges_ms=tuple(sorted((*survivor.merges_ms, *absorbed.merges_ms, now_ms))),
        absorbed=(*survivor.absorbed, *aliases),
    )
    return Merged(point, absorbed.user_point, aliases)
