"""CATALOG_AUTO_MATCH: the fields of 5.2, 5.6 and decision 26."""

import pytest
from msgspec import structs

from engine.errors import CallerError
from engine.pipeline import event_rules
from tests.pipeline.rules import (
    activity,
    catalog_match,
    counts,
    defined,
    event,
    fault_of,
    notes_of,
    page,
    run,
    told,
    url_match,
    verdict_on,
)

SHOP = {
    "id": "shop",
    "product": [
        {
            "id": "7",
            "url": "https://shop.test/p/caf%C3%A9?ref=feed",
            "name": "Café",
            "categories": ["home", "kitchen", "coffee", "filter", "paper"],
            "brand": "B",
            "price": 3.5,
            "ean": "123",
            "extra": {"colour": "red", "$name": "Café noir"},
        },
        {"id": "8", "url": "http://shop.test/p/8/"},
        {"id": "8b", "url": "https://shop.test/p/8"},
    ],
    "category": [{"id": "home", "url": "shop.test/home"}, {"id": "sale", "url": "https://shop.test/p/8"}],
}
OTHER = {"id": "other", "product": [{"id": "o", "url": "https://other.test/o"}]}


def views(url, *, catalogs=(SHOP, OTHER), **fields):
    """What is made of a page."""
    found = told(run(defined(catalog_match(**fields), catalogs=catalogs), page(url, referrer="r")))
    assert all(said.pop("$url") == url and said.pop("$referrer") == "r" for _, said in found)
    return found[1:]


BARE = {"$id": "7", "$ean": "123", "$price": 3.5, "$brand": "B", "$name": "Café noir", "colour": "red"}
PAGE = "https://shop.test/p/café"


@pytest.mark.parametrize(
    ("row", "url", "fields", "found"),
    [
        ("a product's page", PAGE, {"auto_match_type": "PRODUCT"}, [("$item_view", {"$items": [BARE]})]),
        ("without query", PAGE + "?x=1", {"auto_match_type": "PRODUCT"}, [("$item_view", {"$items": [BARE]})]),
        ("a category's page", "http://SHOP.test/home/", {}, [("$item_list_view", {"$category": "home"})]),
        ("CATEGORY is the default and matches no product", PAGE, {}, []),
        ("PRODUCT matches no category", "shop.test/home", {"auto_match_type": "PRODUCT"}, []),
        ("both", "https://shop.test/p/8", {"auto_match_type": "PRODUCT_AND_CATEGORY"},
         [("$item_view", {"$items": [{"$id": "8"}]}), ("$item_list_view", {"$category": "sale"})]),
        ("another host", "https://www.shop.test/home", {}, []),
        ("no page of the catalog", "https://shop.test/x", {"auto_match_type": "PRODUCT_AND_CATEGORY"}, []),
        ("excluded_categories", "shop.test/home", {"excluded_categories": ["home"]}, []),
        ("another is not excluded", "shop.test/home", {"excluded_categories": ["sale"]},
         [("$item_list_view", {"$category": "home"})]),
        ("all catalogs", "https://other.test/o", {"auto_match_type": "PRODUCT"},
         [("$item_view", {"$items": [{"$id": "o"}]})]),
        ("one catalog", "https://other.test/o", {"auto_match_type": "PRODUCT", "catalog": "shop"}, []),
    ],
)  # fmt: skip
def test_5_6_and_decision_26(row, url, fields, found):
    assert views(url, **fields) == found, row


@pytest.mark.parametrize(
    ("fields", "categories"),
    [
        ({}, {}),
        ({"add_category_to_item": True}, {1: "home", 2: "kitchen", 3: "coffee", 4: "filter"}),
        ({"add_category_to_item": True, "category_max_depth": 2}, {1: "home", 2: "kitchen"}),
        ({"add_category_to_item": True, "category_max_depth": 0}, {}),
        ({"add_category_to_item": True, "category_max_depth": 9}, {1: "home", 2: "kitchen", 3: "coffee", 4: "filter"}),
        ({"add_category_to_item": True, "category_max_depth": 2, "excluded_categories": ["home"]},
         {1: "kitchen", 2: "coffee"}),
        ({"category_max_depth": 2}, {}),
    ],
)  # fmt: skip
def test_decision_26_the_categories_of_an_item(fields, categories):
    ((_, said),) = views(PAGE, auto_match_type="PRODUCT", **fields)
    assert said == {"$items": [BARE | {f"$category{number}": one for number, one in categories.items()}]}


def test_only_page_views_also_those_that_a_rule_made():
    rules = defined(url_match("a.b/x", "$page_view", **{"$url": "shop.test/home"}), catalog_match(), catalogs=[SHOP])
    after = run(rules, page("a.b/x"), event("$item_view", url="shop.test/home"))
    assert [one.name for one in after.events] == ["$page_view", "$page_view", "$item_list_view", "$item_view"]


@pytest.mark.parametrize(
    ("catalogs", "path"),
    [
        ([], "event_rules[0].catalog"),
        ([{**OTHER, "product": [{"id": "a", "url": "a.b"}, {"id": "b", "url": "/p"}]}], "catalogs[0].product[1].url"),
        ([SHOP, {"id": "c", "category": [{"id": "a", "url": ""}]}], "catalogs[1].category[0].url"),
    ],
)
def test_what_cannot_work_is_refused_with_its_place(catalogs, path):
    assert fault_of(catalog_match(auto_match_type="PRODUCT_AND_CATEGORY"), catalogs=catalogs) == (
        "bad_definition",
        path,
    )


def test_a_catalog_that_is_none_is_refused_with_its_place():
    assert fault_of(catalog_match(catalog="none"), catalogs=[SHOP]) == ("bad_definition", "event_rules[0].catalog")


def test_notes_and_counters():
    rules = defined(catalog_match(), catalog_match(catalog="other"), catalogs=[SHOP, OTHER])
    assert notes_of(rules, page("shop.test/home")) == [
        ("0", "matched", "category home"),
        ("1", "skipped", "no $page_view has the address of a product or category"),
    ]
    assert counts(verdict_on(rules, activity(page("shop.test/home")))) == {
        "events_step.EVENT_RULES": 1,
        "event_rules_matched.CATALOG_AUTO_MATCH": 1,
    }


@pytest.mark.slow
def test_a_hundred_thousand_products_are_one_look_up():
    products = [{"id": str(number), "url": f"https://shop.test/p/{number}"} for number in range(100_000)]
    rules = defined(catalog_match(auto_match_type="PRODUCT"), catalogs=[{"id": "c", "product": products}])
    _, compiled, everywhere = event_rules.compile_rules(rules)
    assert not compiled
    assert len(everywhere[0].products) == 100_000
    ((_, said),) = told(run(rules, page("http://shop.test/p/99999?x")))[1:]
    assert said["$items"] == [{"$id": "99999"}]


def test_rules_of_one_catalog_share_its_pages():
    catalog = {"id": "shop", "product": [{"id": "7", "url": "https://shop.test/7"}]}
    of_all = [catalog_match(catalog="shop", auto_match_type="PRODUCT") for _ in range(2)]
    _, _, (one, other) = event_rules.compile_rules(declared := defined(*of_all, catalogs=[catalog]))
    assert one.products is other.products
    changed = structs.replace(declared, catalogs=())
    with pytest.raises(CallerError):
        event_rules.compile_rules(changed)
