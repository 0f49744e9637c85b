"""`CATALOG_AUTO_MATCH`: the address of a page tells which item or category was viewed (5.6, decision 26).

    $page_view of a product's address     ▶ $item_view       $items: [{$id, $ean, $price, $brand, $name, $category1 …}]
    $page_view of a category's address    ▶ $item_list_view  $category

Addresses are compared as rules compare them, without their query. Where two products have one address, the first one
declared is meant.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from msgspec import Raw, Struct

from engine.definitions.declared.catalogs import Catalog, Product
from engine.definitions.declared.event_rules import CatalogAutoMatch
from engine.definitions.defined import Defined
from engine.errors import CallerError
from engine.model.wire import encode
from engine.pipeline.event_rules.address import Page, address_of
from engine.pipeline.event_rules.rule import Work

TYPE: Final = "CATALOG_AUTO_MATCH"

ITEM_VIEW: Final = "$item_view"
ITEM_LIST_VIEW: Final = "$item_list_view"

MAX_CATEGORY_FIELDS: Final = 4
"""An item has `$category1` to `$category4` (mediarithmics 1.7)."""


class CatalogMatch(Struct, frozen=True):
    """The rule, compiled.

    Attributes:
        about: what notes call it.
        products, categories: by page; empty where the rule does not match them.
        depth: categories that an item carries, at the most.
        excluded: those it never carries.
    """

    about: str
    products: Mapping[Page, Product]
    categories: Mapping[Page, str]
    depth: int
    excluded: frozenset[str]

    reads = ()

    def apply(self, work: Work) -> None:
        """Generate a view of what the pages among the events show."""
        said = False
        for seen in work.events:
            address = seen.address if seen.is_page else None
            if address is None:
                continue
            page = address.page
            product, category = self.products.get(page), self.categories.get(page)
            if product is not None:
                work.make(seen, ITEM_VIEW, {"$items": Raw(encode([self._item(product)]))})
                work.note(self.about, "matched", f"product {product.id}")
            if category is not None:
                work.make(seen, ITEM_LIST_VIEW, {"$category": Raw(encode(category))})
                work.note(self.about, "matched", f"category {category}")
            if product is not None or category is not None:
                work.match(TYPE, seen)
                said = True
        if not said:
            work.note(self.about, "skipped", "no $page_view has the address of a product or category")

    def _item(self, product: Product) -> dict[str, Any]:
        item: dict[str, Any] = {"$id": product.id}
        told = ("$ean", product.ean), ("$price", product.price), ("$brand", product.brand), ("$name", product.name)
        item |= {name: value for name, value in told if value not in ("", None)}
        categories = [one for one in product.categories if one not in self.excluded][: self.depth]
        item |= {f"$category{number}": one for number, one in enumerate(categories, 1)}
        return item | product.extra


def compile(rule: CatalogAutoMatch, defined: Defined, path: str) -> CatalogMatch:
    """The rule, with the pages of its catalogs looked up by one key each.

    Raises:
        CallerError: there is no such catalog, or the address of a product or category names no host.
    """
    catalogs = [(at, one) for at, one in enumerate(defined.catalogs) if rule.catalog in ("", one.id)]
    if not catalogs:
        said = f"no catalog {rule.catalog!r}" if rule.catalog else "the datamart has no catalog"
        raise CallerError(said, code="bad_definition", path=f"{path}.catalog")
    excluded = frozenset(rule.excluded_categories)
    kinds = rule.auto_match_type
    depth = MAX_CATEGORY_FIELDS
    if not rule.add_category_to_item:
        depth = 0
    elif rule.category_max_depth is not None:
        depth = min(depth, rule.category_max_depth)
    # Rules of one catalog share its pages: there may be fifty of them, and a hundred thousand products.
    once, source = defined.derived.once, defined.catalogs
    products: Mapping[Page, Product] = {}
    if kinds != "CATEGORY":
        products = once(("products", rule.catalog), source, lambda: _by_page(_products(catalogs)))
    categories: Mapping[Page, str] = {}
    if kinds != "PRODUCT":
        name = "categories", rule.catalog, excluded
        categories = once(name, source, lambda: _by_page(_categories(catalogs, excluded)))
    return CatalogMatch(
        about=f"event_rule {rule.id}",
        products=products,
        categories=categories,
        depth=depth,
        excluded=excluded,
    )


_Placed = tuple[str, str, Any]
"""An address, its path in what is declared, and what is shown there."""


def _products(catalogs: Sequence[tuple[int, Catalog]]) -> Iterable[_Placed]:
    for at, catalog in catalogs:
        for index, product in enumerate(catalog.products):
            yield product.url, f"catalogs[{at}].product[{index}].url", product


def _categories(catalogs: Sequence[tuple[int, Catalog]], excluded: frozenset[str]) -> Iterable[_Placed]:
    for at, catalog in catalogs:
        for index, category in enumerate(catalog.categories):
            if category.id not in excluded:
                yield category.url, f"catalogs[{at}].category[{index}].url", category.id


def _by_page(placed: Iterable[_Placed]) -> dict[Page, Any]:
    found: dict[Page, Any] = {}
    for url, path, shown in placed:
        address = address_of(url)
        if address is None:
            raise CallerError(f"no address of a page: {url!r}", code="bad_definition", path=path)
        found.setdefault(address.page, shown)
    return found
