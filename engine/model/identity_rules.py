"""The rules of identity that an operator may change: the section `[identity]` of the settings (decisions 1 and 3)."""

from typing import Annotated, Final

from msgspec import Meta, Struct

_HOUR_MS: Final = 60 * 60 * 1000
_DAY_MS: Final = 24 * _HOUR_MS

PLACEHOLDERS: Final = (
    "null",
    "(null)",
    "<null>",
    "nil",
    "none",
    "undefined",
    "[object object]",
    "nan",
    "n/a",
    "unknown",
    "not set",
    "(not set)",
    "anonymous",
    "guest",
    "true",
    "false",
    "-1",
    "ffffffff-ffff-ffff-ffff-ffffffffffff",
)
"""What a client sends when it has no id but a variable for one. Zeros in any length are a rule of their own."""

PlaceholderText = Annotated[str, Meta(min_length=1, max_length=128)]
Count = Annotated[int, Meta(ge=1, le=10_000)]
WindowMs = Annotated[int, Meta(ge=_HOUR_MS, le=400 * _DAY_MS)]


class HyperPointLimits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one user point may hold. A point that gathers more is a kiosk, a test phone or a bug, not a person: at the
    limit nothing more is attached to it, while its own activities go on being stored.
    """

    max_agents: Annotated[
        Count, Meta(description="Agents of one registry linked to a user point within `agent_window_ms`.")
    ] = 10
    agent_window_ms: Annotated[WindowMs, Meta(description="Two days: how far back linked agents are counted.")] = (
        2 * _DAY_MS
    )
    max_accounts: Annotated[
        Count, Meta(description="Accounts linked within `account_window_ms`: a family shares a tablet, a shop a till.")
    ] = 4
    max_emails: Annotated[
        Count, Meta(description="E-mails linked within `account_window_ms`; they come with accounts, so as many.")
    ] = 4
    account_window_ms: Annotated[
        WindowMs, Meta(description="Seven days: how far back linked accounts and e-mails are counted.")
    ] = 7 * _DAY_MS
    max_merges: Annotated[
        Count, Meta(description="User points merged into one within `merge_window_ms`; each moves a person's past.")
    ] = 8
    merge_window_ms: Annotated[WindowMs, Meta(description="Fourteen days: how far back merges are counted.")] = (
        14 * _DAY_MS
    )
    max_identifiers: Annotated[
        Count, Meta(description="Identifiers of one user point, whenever linked; bounds the row that holds them.")
    ] = 100

    @property
    def longest_window_ms(self) -> int:
        """How long the time of a link or a merge matters."""
        return max(self.agent_window_ms, self.account_window_ms, self.merge_window_ms)


class IdentityRules(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which identifiers say nothing, and how much one user point may gather."""

    placeholders: Annotated[
        tuple[PlaceholderText, ...],
        Meta(
            description="Identifier values that never link or merge anything; case and outer spaces do not matter, and"
            " the hash of one counts as well. A list given here replaces the whole list."
        ),
    ] = PLACEHOLDERS
    zeros_are_placeholders: Annotated[
        bool,
        Meta(description="Also what is all zeros, such as 0, or the nil UUID of a phone that was asked not to track."),
    ] = True
    hyper_point: HyperPointLimits = HyperPointLimits()
