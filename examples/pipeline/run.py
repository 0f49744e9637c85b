"""Three people visit a small shop, and sojourn shows what it does with that: `scripts/example`.

    Ada   agrees, fills a large basket and leaves  ─▶ a conversion; an hour later a webhook reminds her
    Ben   does the same, but comes back and buys   ─▶ leaves the automation: no webhook
    Cleo  does not agree                           ─▶ nothing of her visit is kept but her refusal

The engine is a real one, with its store in a temporary folder. Only its clock is ours, so that an hour takes no time.
The exit code is 0 only if everything happened as it is told here.
"""

import json
import os
import signal
import sys
import tempfile
import tomllib
from contextlib import AsyncExitStack
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any, Final

import httpx
import trio
from around import HERE, Received, Unexpected, free_port, http_api, node_analyzer, until, webhook_receiver, why_no_node
from shop import PARIS, Shop, event, expect, heading, only, pretty, visit

from engine import EventClock, SojournError, configure_logging, load_settings, open_engine
from gateway.commands.explain import show

AGREES: Final = {"$processing_token": "analytics", "$choice_acceptance_value": True}
REFUSES: Final = {"$processing_token": "analytics", "$choice_acceptance_value": False}
LANDING: Final = "https://shop.example/product/teapot?partner=newsletter"
BASKET: Final = {"$items": [{"$id": "teapot", "$price": 24.5, "$qty": 2}, {"$id": "cup", "$price": 5}]}
SPENT: Final = {"$items": BASKET["$items"], "$order": {"$id": "order-1"}}


def yesterday_at_ten() -> int:
    """In Paris, ms since the epoch: when the story begins."""
    day = datetime.now(PARIS).date() - timedelta(days=1)
    return int(datetime.combine(day, time(10), PARIS).astimezone(UTC).timestamp() * 1000)


def declared(crm: str, node_port: int | None) -> dict[str, Any]:
    """definitions.toml, with the addresses of this run.

    Args:
        crm: where webhooks go.
        node_port: of the analyzer in Node.js; without one it is left out.
    """
    tables = tomllib.loads((HERE / "definitions.toml").read_text(encoding="utf-8"))
    (datamart,) = tables["datamart"]
    datamart["destination"][0]["url"] = crm
    basket, visitor = datamart["analyzer"]
    if node_port is None:
        datamart["analyzer"] = [basket]
        datamart["channel"][0]["analyzers"] = [basket["id"]]
    else:
        visitor["url"] = f"http://127.0.0.1:{node_port}"
    return tables


async def tell(folder: Path) -> None:
    """Start everything, tell the story, end everything.

    Args:
        folder: for the store and for what the analyzer logs.
    """
    overrides = {"storage.data_dir": str(folder / "data"), "analyzers.python_path": [str(HERE)]}
    settings = load_settings(None, {}, overrides)
    clock = EventClock(yesterday_at_ten())
    async with AsyncExitStack() as stack:
        heading("What is there")
        crm, received = stack.enter_context(webhook_receiver())
        engine = await stack.enter_async_context(open_engine(settings, clock=clock))
        api = await stack.enter_async_context(http_api(engine, settings))
        why = await trio.to_thread.run_sync(why_no_node)
        port = None if why else free_port()
        definitions = declared(crm, port)
        (datamart,) = definitions["datamart"]
        print(f"an engine, its store in {folder / 'data'}")
        print(f"its HTTP interface at {api}")
        print(f"a CRM that takes webhooks at {crm}")
        if port is None:
            print(f"LEFT OUT: the analyzer in Node.js: {why}")
        else:
            log = folder / "analyzer.log"
            pid = await stack.enter_async_context(node_analyzer(port, api, datamart["analyzer"][1], log))
            print(f"an analyzer in Node.js at http://127.0.0.1:{port}, process {pid}")

        heading("definitions.toml is applied")
        difference = await engine.apply(definitions)
        for change in difference.changes:
            print(f"{change.what}: {change.kind} {change.id}")
        expect("the definitions hold", difference.applied)

        headers = {"Authorization": datamart["channel"][0]["token"]}
        web = httpx.AsyncClient(base_url=api, headers=headers, trust_env=False)
        shop = Shop(engine, clock, await stack.enter_async_context(web))
        await ada_leaves_a_basket(shop, has_node=port is not None)
        await ben_leaves_one_and_buys(shop)
        await an_hour_later(shop, received, datamart["destination"][0]["secret"])
        await cleo_refuses(shop)
        await questions(shop)


async def ada_leaves_a_basket(shop: Shop, *, has_node: bool) -> None:
    """She agrees, looks at a product, fills a basket and leaves."""
    heading("Ada visits the shop")
    ada = visit(
        "ada", event("$set_user_choice", **AGREES), event("$page_view", LANDING), event("$basket_view", **BASKET)
    )
    await shop.send(ada)

    heading("Why? What each step does with her visit, and what for (sojourn explain)")
    explanation = await shop.engine.explain(json.dumps(ada).encode())
    show(explanation)
    expect("every step lets it through", explanation.verdict == "stored")

    heading("Ada has left: half an hour without an event ends her visit")
    expect("nothing is stored while the visit goes on", not await in_thread(shop.visits, "ada"))
    shop.minutes_pass(31)
    await until("Ada's visit is stored", lambda: bool(shop.visits("ada")))
    stored = only("Ada's visit", await in_thread(shop.visits, "ada"))
    print(f"\nThe activity as it is stored:\n{pretty(stored)}\n")
    events = {one["$event_name"]: one["$properties"] for one in stored["$events"]}
    expect("rule product-page made a product_view of the page", events["product_view"]["sku"] == "teapot")
    expect("rule partner told the origin's source", stored["$origin"]["$source"] == "newsletter")
    expect("the analyzer in Python added up the basket", events["$basket_view"]["worth"] == 54)
    if has_node:
        expect("the analyzer in Node.js told the kind of visitor", stored["visitor_kind"] == "subscriber")
    expect("both analyzers worked" if has_node else "the analyzer worked", stored["$error_analyzer_id"] is None)
    expect("the goal was reached", events["$conversion"]["$goal_id"] == "large-basket")
    expect("and counted", shop.counted("conversions.large-basket") == 1)

    heading("What is known of Ada: her choice, and where she is in the automation")
    choice = only("her choice", await in_thread(shop.engine.reader.choices, 1, shop.user_point("ada")))
    print(f"her choice: {pretty(choice)}")
    expect("her choice is kept", choice["$choice_acceptance_value"] is True)
    await in_thread(shop.print_scenario, "ada")
    expect("she is in the automation", shop.scenario("ada") == ["START wait", "NODE_ENTER wait"])
    waits = only("who waits", await shop.waiting())
    print(f"she waits until {shop.time(waits['callback_ts'])}")
    expect("that is an hour after the visit was over", waits["callback_ts"] == shop.clock.now_ms() + 3_600_000)


async def ben_leaves_one_and_buys(shop: Shop) -> None:
    """He does what she did, and comes back."""
    heading("Ben does the same, but comes back and buys")
    await shop.send(visit("ben", event("$set_user_choice", **AGREES), event("$basket_view", **BASKET)))
    shop.minutes_pass(31)
    await until("Ben is in the automation", lambda: len(shop.scenario("ben")) == 2)
    await shop.send(visit("ben", event("$transaction_confirmed", **SPENT)))
    await shop.engine.close_sessions(1, shop.user_point("ben"))
    print("(his visit is closed on request, as a server may ask)")
    await until("Ben is out of the automation", lambda: len(shop.scenario("ben")) > 2)
    await in_thread(shop.print_scenario, "ben")
    expect("his purchase took him out", shop.scenario("ben")[-1].startswith("STOP"))
    expect("only Ada waits", [one["user_point"] for one in await shop.waiting()] == [shop.user_point("ada")])


async def an_hour_later(shop: Shop, received: list[Received], secret: str) -> None:
    """Ada's wait is over."""
    heading("An hour after Ada's visit: the webhook")
    expect("no webhook has been sent yet", not received)
    shop.minutes_pass(30)
    await until("the webhook arrives", lambda: bool(received))
    webhook = only("the webhook", received)
    print(f"\nPOST {webhook.path}")
    for name in ("content-type", "idempotency-key", "webhook-id", "webhook-timestamp", "webhook-signature"):
        print(f"{name}: {webhook.headers[name]}")
    body = json.loads(webhook.body)
    print(pretty(body | {"activity": {"$ts": body["activity"]["$ts"], "…": "her visit, as above"}}), "\n")
    expect("the signature is right", webhook.is_signed_with(secret))
    expect("it would not be with another secret", not webhook.is_signed_with("whsec_" + "QUJD" * 8))
    expect("it is about Ada", body["user_point_id"] == shop.user_point("ada"))
    expect("with the visit that led to it", body["activity"]["$ts"] == shop.visits("ada")[0]["$ts"])
    await until("Ada is through", lambda: shop.scenario("ada")[-1].startswith("STOP"))
    await in_thread(shop.print_scenario, "ada")
    expect("nobody waits any more", await shop.waiting() == [])
    reminded = await shop.engine.query('SELECT { id } FROM UserPoint WHERE segments { id = "reminded" }')
    expect(
        "Ada is in the segment of those who were reminded",
        [one["id"] for one in reminded.rows] == [shop.user_point("ada")],
    )


async def cleo_refuses(shop: Shop) -> None:
    """She does not agree."""
    heading("Cleo does not agree")
    cleo = visit(
        "cleo", event("$set_user_choice", **REFUSES), event("$page_view", LANDING), event("$basket_view", **BASKET)
    )
    await shop.send(cleo)
    explanation = await shop.engine.explain(json.dumps(cleo).encode())
    show(explanation)
    expect(
        "the step of choices drops her visit",
        (explanation.verdict, explanation.reason) == ("dropped", "choice_refused"),
    )
    shop.minutes_pass(31)
    await until("her visit is dropped", lambda: shop.counted("events_dropped.choice_refused") > 0)
    expect("none of it is stored", not await in_thread(shop.visits, "cleo"))
    choice = only("her choice", await in_thread(shop.engine.reader.choices, 1, shop.user_point("cleo")))
    print(f"her choice: {pretty(choice)}")
    expect("that she refused is", choice["$choice_acceptance_value"] is False)
    expect("no conversion was counted for it", shop.counted("conversions.large-basket") == 2)
    expect("and she is in no automation", await shop.waiting() == [])


async def questions(shop: Shop) -> None:
    """What was stored can be asked."""
    heading("Questions about what is stored (sojourn query)")
    for query, wanted in (
        ('SELECT @count{} FROM UserEvent WHERE name = "$conversion"', {"count": 2}),
        ('SELECT @count{} FROM UserActivity WHERE type = "USER_SCENARIO_STOP"', {"count": 2}),
        ('SELECT @count{} FROM UserPoint WHERE events { name = "$transaction_confirmed" }', {"count": 1}),
    ):
        found = (await shop.engine.query(query)).result
        print(f"{query}\n  {json.dumps(found)}")
        expect("that is right", found == wanted)
    query = 'SELECT { ts origin { source } events { name } } FROM UserActivity WHERE events { name = "product_view" }'
    rows = (await shop.engine.query(query)).rows
    print(query)
    for row in rows:
        print(f"  {json.dumps(row)}")
    expect("one visit has seen a product", len(rows) == 1)
    found = await shop.engine.query("@large-basket")
    print("@large-basket, which is defined")
    expect("it finds what the goal has found: two visits", len(found.rows) == 2)


async def in_thread(ask: Any, *arguments: Any) -> Any:  # noqa: ANN401 - whatever it gives
    """Ask something that reads the disk, while the engine goes on."""
    return await trio.to_thread.run_sync(ask, *arguments)


async def until_asked_to_stop(scope: trio.CancelScope, *, task_status: "trio.TaskStatus[None]") -> None:
    """Ctrl-C and SIGTERM end the story early, but in order: what was started is ended."""
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        task_status.started()
        async for _ in signals:
            print("\nSTOPPED before the end", file=sys.stderr)
            scope.cancel(reason="asked to stop")


async def main(folder: Path) -> int:
    """Tell the story; returns the exit code."""
    code = 1
    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as scope:
            await nursery.start(until_asked_to_stop, scope)
            try:
                await tell(folder)
                code = 0
            except* (Unexpected, SojournError) as group:
                for error in _leaves(group):
                    print(f"\nFAILED: {error}", file=sys.stderr)
        nursery.cancel_scope.cancel(reason="the story is over")
    return code


def _leaves(group: BaseExceptionGroup[Any]) -> list[BaseException]:
    return [
        leaf for one in group.exceptions for leaf in (_leaves(one) if isinstance(one, BaseExceptionGroup) else [one])
    ]


if __name__ == "__main__":
    if not sys.stdout.isatty():
        os.environ.setdefault("COLUMNS", "120")  # How wide an explanation is drawn.
    configure_logging("console", "warning")
    with tempfile.TemporaryDirectory(prefix="sojourn-example-") as temporary:
        exit_code = trio.run(main, Path(temporary))
    if exit_code == 0:
        heading("Everything happened as it is told here")
    sys.exit(exit_code)
