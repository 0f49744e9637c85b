"""Catalogs: the items and categories of a datamart by their addresses (decision 26)."""

from typing import Any

from msgspec import Struct, field

from engine.model.types import Id


class Product(Struct, frozen=True, kw_only=True):
    """An item; `categories` from the widest to the narrowest. `extra` goes into `$items` as it is."""

    id: str
    url: str
    name: str = ""
    categories: tuple[str, ...] = ()
    brand: str = ""
    price: float | None = None
    ean: str = ""
    extra: dict[str, Any] = field(default_factory=dict)


class Category(Struct, frozen=True, kw_only=True):
    """A page that lists items."""

    id: str
    url: str


class Catalog(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Products and categories.

    Attributes:
        products_file: further products, from a file beside this one: NDJSON, or CSV with a line of names, by the end
            of its name. What is no key of a product goes into its `extra`; categories of a CSV are parted by `>`.
    """

    id: Id
    products_file: str = ""
    products: tuple[Product, ...] = field(default=(), name="product")
    categories: tuple[Category, ...] = field(default=(), name="category")
