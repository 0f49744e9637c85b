"""Which user point an item counts for, and what it links and merges on the way (decisions 2 and 3).

    usable identifiers ─▶ point of the strongest (known, or new) ─▶ merge the other known points, strongest first
                                                                 ─▶ link the unknown identifiers, strongest first

Each of these steps is taken where the limits allow it. What they bar stays as it was, and the item still counts for
its strongest identifier. Where no limit is near, all of an item's identifiers end up on one user point.
"""

from collections.abc import Callable, Sequence

from msgspec import Struct

from engine.errors import CallerError
from engine.identity.limits import Barrier, link_barrier, merge_barrier
from engine.identity.merge import merge
from engine.identity.placeholders import Placeholders
from engine.identity.points import PointView
from engine.model.identifiers import Identifier, first_user_point
from engine.model.identity_rules import HyperPointLimits

Known = Callable[[Identifier], PointView | None]
"""The user point an identifier is linked to, aliases resolved, or None when nobody has named it before."""


class NoUserIdentifier(CallerError):
    """The item has no identifier, or none but placeholders (decision 1).

    Attributes:
        placeholders: how many of those there were.
    """

    code = "no_user_identifier"

    def __init__(self, placeholders: int) -> None:
        what = "only placeholders as identifiers" if placeholders else "no identifier"
        super().__init__(f"the item has {what}: nobody to count it for", path="$.$user_identifiers")
        self.placeholders = placeholders


class LeftOut(Struct, frozen=True, gc=False):
    """An identifier of the item that stays off its user point, and the limit that bars it."""

    identifier: Identifier
    barrier: Barrier


class Resolution(Struct, frozen=True):
    """Whom an item counts for, and what is to be written in the transaction of its journal record.

    Attributes:
        point: the user point, as it is after this item.
        is_new: whether this item is the first to name it.
        linked: identifiers to link to it.
        absorbed: user points that merge into it, lowest first sequence first; each needs a merge record.
        aliases: user points whose alias row must name it: the absorbed ones and all they had absorbed.
        left_out: identifiers that the limits against hyper points keep off it.
        placeholders: how many identifiers were ignored.
    """

    point: PointView
    is_new: bool = False
    linked: tuple[Identifier, ...] = ()
    absorbed: tuple[bytes, ...] = ()
    aliases: tuple[bytes, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    placeholders: int = 0

    @property
    def user_point(self) -> bytes:
        """The 16 bytes of the user point."""
        return self.point.user_point

    @property
    def changes(self) -> bool:
        """Whether there is anything to write; not so for the ordinary item of a known person."""
        return bool(self.linked or self.absorbed)


def resolve(
    identifiers: Sequence[Identifier],
    *,
    datamart: int,
    now_ms: int,
    sequence: int,
    known: Known,
    limits: HyperPointLimits,
    placeholders: Placeholders,
) -> Resolution:
    """Find the user point of an item.

    Args:
        identifiers: of the item, as sent, each once.
        datamart: id of the datamart.
        now_ms: engine time of arrival.
        sequence: journal sequence that a new user point counts from; higher than any before it.
        known: look-up of an identifier; what earlier items have linked, stored yet or not, must be in it.
        limits: what one user point may gather.
        placeholders: values that name nobody.

    Raises:
        NoUserIdentifier: nothing among the identifiers names a person.
    """
    usable = sorted((one for one in identifiers if one not in placeholders), key=lambda one: one.kind)
    ignored = len(identifiers) - len(usable)
    if not usable:
        raise NoUserIdentifier(ignored)
    found = [(one, known(one)) for one in usable]
    strongest, point = found[0]
    if point is not None and all(view is not None and view.user_point == point.user_point for _, view in found):
        return Resolution(point, placeholders=ignored)
    if point is None:
        first = PointView(first_user_point(datamart, strongest).bytes, sequence)
        gathering = _Gathering(first.linked(strongest, now_ms), now_ms, limits, is_new=True, linked=[strongest])
    else:
        gathering = _Gathering(point, now_ms, limits)
    gathering.gather([(one, view) for one, view in found if view is not None or one is not strongest])
    return gathering.resolution(ignored)


def attach_to(
    point: PointView,
    identifiers: Sequence[Identifier],
    *,
    now_ms: int,
    known: Known,
    limits: HyperPointLimits,
    placeholders: Placeholders,
) -> Resolution:
    """What further identifiers of a person who is known link and merge (decision 25): those that a rule has found.

    Unlike `resolve`, it makes no new user point: what the limits keep off this one stays as it was.

    Args:
        point: whom they are of, aliases resolved.
        identifiers: each once.
        now_ms, known, limits, placeholders: as for `resolve`.
    """
    usable = sorted((one for one in identifiers if one not in placeholders), key=lambda one: one.kind)
    gathering = _Gathering(point, now_ms, limits)
    gathering.gather([(one, known(one)) for one in usable])
    return gathering.resolution(len(identifiers) - len(usable))


class _Gathering:
    """The user point of one item while its identifiers come together.

    Invariant: `point` holds the item's strongest identifier, which is the only one it holds while it is new.
    """

    def __init__(
        self,
        point: PointView,
        now_ms: int,
        limits: HyperPointLimits,
        *,
        is_new: bool = False,
        linked: Sequence[Identifier] = (),
    ) -> None:
        self.point = point
        self._now_ms = now_ms
        self._limits = limits
        self._is_new = is_new
        self._linked = list(linked)
        self._joined = [] if is_new else [point]
        self._left_out: list[LeftOut] = []

    def gather(self, found: Sequence[tuple[Identifier, PointView | None]]) -> None:
        """Come together with the points that identifiers name, then link those that name none, strongest first."""
        own = None if self._is_new else self.point.user_point
        others: dict[bytes, tuple[PointView, list[Identifier]]] = {}
        for one, view in found:
            if view is not None and view.user_point != own:
                others.setdefault(view.user_point, (view, []))[1].append(one)
        for view, named_by in others.values():
            self.meet(view, named_by)
        for one, view in found:
            if view is None:
                self.link(one)

    def meet(self, other: PointView, named_by: Sequence[Identifier]) -> None:
        """Come together with another known point, which these identifiers of the item name."""
        barrier = self._attach_to(other) if self._is_new else self._merge_with(other)
        if barrier is None:
            self._joined.append(other)
        else:
            self._left_out.extend(LeftOut(one, barrier) for one in named_by)

    def link(self, identifier: Identifier) -> None:
        """Link an unknown identifier."""
        barrier = link_barrier(self.point, identifier, now_ms=self._now_ms, limits=self._limits)
        if barrier is not None:
            self._left_out.append(LeftOut(identifier, barrier))
            return
        self.point = self.point.linked(identifier, self._now_ms)
        self._linked.append(identifier)

    def resolution(self, placeholders: int) -> Resolution:
        """What has come together."""
        absorbed = sorted(
            (view for view in self._joined if view.user_point != self.point.user_point),
            key=lambda view: (view.first_sequence, view.user_point),
        )
        return Resolution(
            point=self.point,
            is_new=self._is_new,
            linked=tuple(self._linked),
            absorbed=tuple(view.user_point for view in absorbed),
            aliases=tuple(alias for view in absorbed for alias in (view.user_point, *view.absorbed)),
            left_out=tuple(self._left_out),
            placeholders=placeholders,
        )

    def _attach_to(self, other: PointView) -> Barrier | None:
        """Give up being new: the strongest identifier is unknown, so it attaches to a known point."""
        (strongest,) = self._linked
        barrier = link_barrier(other, strongest, now_ms=self._now_ms, limits=self._limits)
        if barrier is None:
            self.point = other.linked(strongest, self._now_ms)
            self._is_new = False
        return barrier

    def _merge_with(self, other: PointView) -> Barrier | None:
        barrier = merge_barrier(self.point, other, now_ms=self._now_ms, limits=self._limits)
        if barrier is None:
            self.point = merge(self.point, other, now_ms=self._now_ms).point
        return barrier
