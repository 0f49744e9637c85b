"""The same six calls by each Python client; their methods have the same names and arguments."""

from typing import Any

BEFORE = "-before"
"""What an alias says that the user was called: the name and this."""


def make_calls(client: Any, user: str) -> None:
    """One call of each kind, by one user."""
    campaign = {"name": "spring", "source": "newsletter", "medium": "email"}
    client.track(
        user,
        "Order Completed",
        {"revenue": 12.5, "products": [{"product_id": "p1", "quantity": 2, "price": 6.25}]},
        context={"campaign": campaign, "ip": "198.51.100.7"},
    )
    client.identify(user, {"email": f"{user}@Shop.test", "plan": "pro"})
    client.page(user, "Shop", "Home", {"url": "https://shop.test/", "title": "Home"})
    client.screen(user, "Shop", "Start")
    client.group(user, "g1", {"seats": 5})
    client.alias(user + BEFORE, user)
