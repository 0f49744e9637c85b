"""How much a user point may gather: the limits against hyper points (decision 3; figures of mediarithmics 13)."""

from collections import Counter
from enum import StrEnum

from engine.identity.agents import split_agent
from engine.identity.merge import merge
from engine.identity.points import PointView
from engine.model.identifiers import Identifier, IdentifierKind
from engine.model.identity_rules import HyperPointLimits


class Barrier(StrEnum):
    """Which limit bars a link or a merge; also the label of its counter."""

    AGENTS = "agents"
    """Too many agents of one registry lately."""
    ACCOUNTS = "accounts"
    """Too many accounts lately."""
    EMAILS = "emails"
    """Too many e-mails lately."""
    MERGES = "merges"
    """Too many merges lately."""
    IDENTIFIERS = "identifiers"
    """Too many identifiers in all."""


def link_barrier(point: PointView, identifier: Identifier, *, now_ms: int, limits: HyperPointLimits) -> Barrier | None:
    """What bars the identifier from being linked to the point, or None: it may be."""
    if point.identifiers >= limits.max_identifiers:
        return Barrier.IDENTIFIERS
    most, _, barrier = _limit(identifier.kind, limits)
    return barrier if _links_by_class(point, now_ms, limits)[_class_of(identifier)] >= most else None


def merge_barrier(one: PointView, other: PointView, *, now_ms: int, limits: HyperPointLimits) -> Barrier | None:
    """What bars two user points from being merged, or None: they may be. What they hold together must be in bounds."""
    together = merge(one, other, now_ms=now_ms).point
    if together.identifiers > limits.max_identifiers:
        return Barrier.IDENTIFIERS
    if sum(merged_ms > now_ms - limits.merge_window_ms for merged_ms in together.merges_ms) > limits.max_merges:
        return Barrier.MERGES
    for (kind, _), counted in sorted(_links_by_class(together, now_ms, limits).items()):
        most, _, barrier = _limit(kind, limits)
        if counted > most:
            return barrier
    return None


def _links_by_class(point: PointView, now_ms: int, limits: HyperPointLimits) -> Counter[tuple[IdentifierKind, str]]:
    """How many identifiers of each kind, and agents of each registry, were linked within their window."""
    return Counter(
        _class_of(link.identifier)
        for link in point.links
        if link.linked_ms > now_ms - _limit(link.identifier.kind, limits)[1]
    )


def _class_of(identifier: Identifier) -> tuple[IdentifierKind, str]:
    registry = split_agent(identifier.value)[0] if identifier.kind is IdentifierKind.AGENT else ""
    return identifier.kind, registry


def _limit(kind: IdentifierKind, limits: HyperPointLimits) -> tuple[int, int, Barrier]:
    """The most of this kind, the window in milliseconds, and what stands in the way beyond."""
    if kind is IdentifierKind.ACCOUNT:
        return limits.max_accounts, limits.account_window_ms, Barrier.ACCOUNTS
    if kind is IdentifierKind.EMAIL:
        return limits.max_emails, limits.account_window_ms, Barrier.EMAILS
    return limits.max_agents, limits.agent_window_ms, Barrier.AGENTS
