"""Who a message is about: its ids as identifiers of an activity (decisions 1 and 42).

userId       account of the default compartment
anonymousId  agent
email        of the person's traits: an e-mail, which the engine hashes
previousId   of `alias`: whoever had it is the same person. It does not say what it was. Where it is the message's
             own `anonymousId` it is an agent, else both an account and an agent: one of them is known and is
             associated, the other is new and changes nothing for anybody else.
"""

from typing import Any, Final

from msgspec import Raw

from gateway.collect.protocols.segment.values import Fields, id_of, list_of, object_of, text_of

MAX_EMAIL_CHARS: Final = 254
"""What a mail server takes (RFC 5321). A trait that is longer, or has no `@`, is no address: taken for one, `n/a` would
make one person of many."""

_MERGE_KINDS: Final = {
    "email": "email",
    "user_id": "account",
    "userId": "account",
    "anonymous_id": "agent",
    "anonymousId": "agent",
}
"""What of RudderStack's `mergeProperties` is an identifier here; a phone number is not."""


def has_id(fields: Fields) -> bool:
    """Whether a message says whom it is about: Segment takes none without `userId` or `anonymousId`."""
    return bool(id_of(fields.get("userId")) or id_of(fields.get("anonymousId")))


def identifiers_of(kind: str, fields: Fields, context: Fields) -> list[dict[str, Any]]:
    """`$user_identifiers` of a message, the strongest first.

    Args:
        kind: its type.
        fields: its members.
        context: those of its `context`.
    """
    user, anonymous = id_of(fields.get("userId")), id_of(fields.get("anonymousId"))
    accounts, emails, agents = [user], [_email(kind, fields, context)], [anonymous]
    if kind == "alias":
        previous = id_of(fields.get("previousId"))
        if previous != user:
            agents.append(previous)
        if previous != anonymous:
            accounts.append(previous)
    elif kind == "merge":
        lists = {"account": accounts, "email": emails, "agent": agents}
        for named, value in _merged(fields.get("mergeProperties")):
            if named in _MERGE_KINDS:
                lists[_MERGE_KINDS[named]].append(value)
    return [
        *({"$type": "USER_ACCOUNT", "$user_account_id": one} for one in _each_once(accounts)),
        *({"$type": "USER_EMAIL", "$email": one} for one in _each_once(emails) if _is_email(one)),
        *({"$type": "USER_AGENT", "$user_agent_id": one} for one in _each_once(agents)),
    ]


def _email(kind: str, fields: Fields, context: Fields) -> str:
    """The person's address. The `traits` of `group` are the group's, those of `context` always the person's."""
    own = text_of(object_of(fields.get("traits")).get("email")) if kind == "identify" else ""
    return own or text_of(object_of(context.get("traits")).get("email"))


def _is_email(text: str) -> bool:
    return "@" in text and len(text) <= MAX_EMAIL_CHARS


def _merged(properties: Raw | None) -> list[tuple[str, str]]:
    pairs = [object_of(one) for one in list_of(properties)]
    return [(text_of(pair.get("type")), id_of(pair.get("value"))) for pair in pairs]


def _each_once(ids: list[str]) -> list[str]:
    return [one for one in dict.fromkeys(ids) if one]
