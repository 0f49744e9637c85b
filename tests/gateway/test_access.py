"""Tokens: who is let through, and what the others are told."""

from typing import Any

import pytest

from gateway.access import require
from gateway.errors import RequestError

KNOWN = {"c": {"collect"}, "r": {"read"}, "a": {"collect", "read", "admin"}}


class Tokens:
    """An engine that knows one token of each scope, for datamart 1."""

    def authorize(self, token: str, *, scope: str, datamart: int) -> object | None:
        return token if datamart == 1 and scope in KNOWN.get(token, ()) else None


ENGINE: Any = Tokens()


@pytest.mark.parametrize(("token", "scope"), [("c", "collect"), ("r", "read"), ("a", "collect"), ("a", "admin")])
def test_who_may_passes(token: str, scope: Any):
    assert require(ENGINE, {"authorization": token}, scope=scope, datamart=1) == token


@pytest.mark.parametrize(
    ("token", "scope", "datamart", "status"),
    [
        ("", "collect", 1, 401),
        ("Basic Yzpj", "collect", 1, 401),
        ("x", "collect", 1, 401),
        ("c", "collect", 2, 401),
        ("c", "read", 1, 403),
        ("r", "collect", 1, 403),
        ("r", "admin", 1, 403),
    ],
)
def test_who_may_not_is_told_which_it_is(token: str, scope: Any, datamart: int, status: int):
    with pytest.raises(RequestError) as caught:
        require(ENGINE, {"authorization": token}, scope=scope, datamart=datamart)
    assert caught.value.status == status
    assert ("www-authenticate" in caught.value.headers) is (status == 401)
