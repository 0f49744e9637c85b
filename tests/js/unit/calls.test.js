"use strict";

const assert = require("node:assert/strict");
const fs = require("node:fs");
const { test } = require("node:test");
const { Linter } = require("eslint");
const { CODE, SOURCE, START_MS, ok, openPage, openTagged } = require("./browser.js");

test("what is served has the tokens of the source, so only comments and space are gone", () => {
  const tokens = (text) => {
    const linter = new Linter();
    const faults = linter.verify(text, { languageOptions: { ecmaVersion: 5, sourceType: "script" } });
    assert.deepEqual(faults, []);
    return linter.getSourceCode().ast.tokens.map((token) => token.value);
  };
  assert.deepEqual(tokens(CODE), tokens(fs.readFileSync(SOURCE, "utf8")));
});

test("a page view is one request with an envelope around its event", async () => {
  const page = openTagged({ url: "https://shop.example/home?a=1#top", referrer: "https://search.example/" });
  page.mics.pushDefault();
  await page.clock.pass(1000);

  const [request] = page.network.requests;
  assert.equal(page.network.requests.length, 1);
  assert.equal(request.url, "https://collect.example:8443/v1/visits/pixel");
  assert.equal(request.options.method, "POST");
  assert.equal(request.options.credentials, "include");
  assert.equal(request.options.keepalive, true);
  assert.equal(request.options.headers, undefined, "a header would make the browser ask first");
  const { $event_id, ...event } = request.body.$events[0];
  assert.match($event_id, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  assert.deepEqual(event, {
    $ev: "$page_view",
    $ts: START_MS,
    $url: "https://shop.example/home?a=1#top",
    $referrer: "https://search.example/",
  });
  delete request.body.$events;
  assert.deepEqual(request.body, {
    $site_token: "site-token",
    $session_status: "IN_SESSION",
    $sent_at: request.atMs,
  });
});

for (const token of ["", undefined, null, 7, "two words", "a|b", "x".repeat(256), {}, { site_token: "" }]) {
  test(`init(${JSON.stringify(token)?.slice(0, 20)}) throws, and the tag stays as it was`, () => {
    const { mics } = openPage();
    assert.throws(() => mics.init(token), { message: "invalid site token" });
    assert.throws(() => mics.pushDefault(), { message: "call init first" });
  });
}

test("push and pushDefault before init throw; properties and settings may come before", async () => {
  const page = openPage();
  assert.throws(() => page.mics.push("a"), { message: "call init first" });
  assert.throws(() => page.mics.pushDefault(), { message: "call init first" });
  page.mics.addProperty("lang", "fr");
  page.mics.config({ mode: "LIVE" });
  page.mics.init("site-token");
  page.mics.push("a");
  await page.clock.pass(1000);
  assert.equal(page.network.requests[0].body.$session_status, "LIVE");
  assert.equal(page.network.events()[0].lang, "fr");
});

test("init takes the platform's object: mode, site_token and the domain that holds the cookie", async () => {
  const page = openPage();
  page.mics.init({ mode: "VISIT", site_token: "other", domain_name: "analytics.shop.example" });
  page.mics.pushDefault();
  await page.clock.pass(1000);
  const [request] = page.network.requests;
  assert.equal(request.url, "https://analytics.shop.example/v1/visits/pixel");
  assert.equal(request.body.$site_token, "other");
  assert.equal(request.body.$session_status, "IN_SESSION");
});

test("an endpoint of its own, with or without a slash at the end", async () => {
  const page = openTagged({ config: { endpoint: "https://elsewhere.example/in/" } });
  page.mics.pushDefault();
  await page.clock.pass(1000);
  assert.equal(page.network.requests[0].url, "https://elsewhere.example/in/v1/visits/pixel");
});

test("a push's own properties win over added ones, and neither over the name", async () => {
  const page = openTagged();
  page.mics.addProperties({ a: 1, b: 1, $url: "https://shop.example/canonical" });
  page.mics.push("seen", { b: 2, $ev: "other", $event_id: undefined, $items: [{ $id: "1" }] });
  await page.clock.pass(1000);
  const [event] = page.network.events();
  assert.equal(event.$ev, "seen");
  assert.equal(event.$url, "https://shop.example/canonical");
  assert.deepEqual([event.a, event.b, event.$items], [1, 2, [{ $id: "1" }]]);
  assert.match(event.$event_id, /^[0-9a-f-]{36}$/);
});

test("an event is what it was when it was pushed", async () => {
  const page = openTagged();
  const basket = [{ $id: "1" }];
  page.mics.push("$basket_view", { $items: basket });
  basket.push({ $id: "2" });
  await page.clock.pass(1000);
  assert.deepEqual(page.network.events()[0].$items, [{ $id: "1" }]);
});

test("identifiers in every form; a later one of its kind takes the place of the earlier", async () => {
  const page = openTagged();
  page.mics.addIdentifier("USER_ACCOUNT", "41");
  page.mics.addIdentifier("USER_ACCOUNT", "42");
  page.mics.addIdentifier("USER_ACCOUNT", { $user_account_id: "7", $compartment_id: "crm" });
  page.mics.addIdentifier("USER_EMAIL", "ada@example.com");
  page.mics.addIdentifier({ $type: "USER_AGENT", $user_agent_id: "vec:1" });
  page.mics.addIdentifier("SHOE_SIZE", "44");
  page.mics.addIdentifier(null);
  page.mics.pushDefault();
  page.mics.addIdentifier("USER_EMAIL", "9f86d081");
  page.mics.pushDefault();
  await page.clock.pass(1000);
  const [first, second] = page.network.requests.map((request) => request.body.$user_identifiers);
  assert.deepEqual(first, [
    { $type: "USER_ACCOUNT", $user_account_id: "42" },
    { $type: "USER_ACCOUNT", $user_account_id: "7", $compartment_id: "crm" },
    { $type: "USER_EMAIL", $email: "ada@example.com" },
    { $type: "USER_AGENT", $user_agent_id: "vec:1" },
  ]);
  assert.deepEqual(second.at(-1), { $type: "USER_EMAIL", $hash: "9f86d081" });
  assert.equal(page.warnings.length, 2);
});

test("an identifier without a value, of a page that does not know its visitor, is none", async () => {
  const page = openTagged();
  for (const nothing of [undefined, null, "", 0, {}, { $compartment_id: "crm" }]) {
    page.mics.addIdentifier("USER_ACCOUNT", nothing);
  }
  page.mics.addIdentifier({ $type: "USER_EMAIL", $hash: "" });
  page.mics.pushDefault();
  page.mics.addIdentifier("USER_ACCOUNT", 42);
  page.mics.pushDefault();
  await page.clock.pass(1000);
  const sent = page.network.requests.map((request) => request.body.$user_identifiers);
  assert.deepEqual(sent, [undefined, [{ $type: "USER_ACCOUNT", $user_account_id: "42" }]]);
  assert.equal(page.warnings.length, 7);
});

test("what cannot be written as JSON is left out with a warning, not thrown at the page", async () => {
  const page = openTagged();
  const loop = {};
  loop.itself = loop;
  page.mics.push("loop", loop);
  page.mics.push("big", { n: 10n });
  page.mics.push("hostile", {
    get trap() {
      throw new Error("mine");
    },
  });
  page.mics.push("good");
  await page.clock.pass(1000);
  assert.deepEqual(page.network.names(), ["good"]);
  assert.equal(page.warnings.length, 3);
});

test("a browser without anything: no call throws, nothing is sent", async () => {
  const page = openPage({
    storage: null,
    navigator: { sendBeacon: undefined },
    window: { fetch: undefined, crypto: undefined, AbortController: undefined, console: undefined },
  });
  page.mics.init("site-token");
  page.mics.pushDefault();
  page.mics.push("a", null);
  page.mics.addProperties(null);
  page.mics.consent();
  page.mics.config();
  page.leave();
  await page.clock.pass(1000);
  assert.equal(page.network.requests.length, 0);
});

test("without fetch the events leave with the page", async () => {
  const page = openTagged({ window: { fetch: undefined } });
  page.mics.pushDefault();
  await page.clock.pass(1000);
  page.leave();
  assert.equal(page.network.beacons[0].body.$events[0].$ev, "$page_view");
});

test("onStart and onFinish hear of each request, and what they throw stays with them", async () => {
  const page = openTagged();
  const heard = [];
  page.mics.onStart(() => {
    throw new Error("the page's own");
  });
  page.mics.onStart((request) => heard.push(["start", JSON.parse(request.body).$events.length]));
  page.mics.onFinish((request) => heard.push(["finish", request.status, request.queued, request.lost]));
  page.mics.pushDefault();
  page.mics.push("a");
  await page.clock.pass(1000);
  assert.deepEqual(heard, [
    ["start", 2],
    ["finish", 200, 0, 0],
  ]);
});

test("call calls by name, for snippets that lack a method", async () => {
  const page = openTagged();
  page.mics.call("push", "a", { b: 1 });
  page.mics.call("no such thing");
  page.mics.call("call", "push", "c");
  await page.clock.pass(1000);
  assert.deepEqual(page.network.names(), ["a"]);
});

test("what the snippet's stub was called with is done when the file comes, in order", async () => {
  const page = openPage({
    before({ mics }) {
      mics.addProperty("lang", "fr");
      mics.init("site-token");
      mics.pushDefault();
      mics.push("a", { b: 1 });
    },
  });
  await page.clock.pass(1000);
  assert.deepEqual(page.network.names(), ["$page_view", "a"]);
  assert.equal(page.network.events()[1].lang, "fr");
});

test("a bad call in the snippet's queue warns, and those after it are done", async () => {
  const page = openPage({
    before({ mics, scimhtiraidem }) {
      mics.init("two words");
      scimhtiraidem._queue.mics.push({ method: "explode", args: [] });
      mics.init("site-token");
      mics.pushDefault();
    },
  });
  await page.clock.pass(1000);
  assert.deepEqual(page.network.names(), ["$page_view"]);
  assert.equal(page.warnings.length, 2);
});

test("several tags live on one page, each with a name, a token and properties of its own", async () => {
  const page = openPage({
    names: ["mics", "partner"],
    before({ mics, partner }) {
      mics.init("site-token");
      partner.init("partner-token");
      mics.addProperty("whose", "mine");
      mics.push("a");
      partner.push("b");
    },
  });
  page.load(); // each snippet loads the file
  await page.clock.pass(1000);
  const sent = page.network.requests.map((request) => [request.body.$site_token, request.body.$events[0].$ev]);
  assert.deepEqual(sent, [
    ["site-token", "a"],
    ["partner-token", "b"],
  ]);
  assert.equal(page.network.events()[1].whose, undefined);
});

test("without a snippet the file gives the page `mics`", async () => {
  const page = openPage({ snippet: false });
  page.window.mics.init("site-token");
  page.window.mics.pushDefault();
  await page.clock.pass(1000);
  assert.deepEqual(page.network.names(), ["$page_view"]);
});

test("_reset forgets token, properties, identifiers, listeners and queue", async () => {
  const page = openTagged();
  page.network.say = () => Promise.reject(new Error("offline"));
  page.mics.addProperty("a", 1);
  page.mics.addIdentifier("USER_ACCOUNT", "42");
  let heard = 0;
  page.mics.onStart(() => heard++);
  page.mics.push("lost");
  await page.clock.pass(1000);
  page.mics._reset();
  heard = 0;
  assert.equal(page.storage.length, 0);
  assert.throws(() => page.mics.pushDefault());
  page.network.say = () => undefined;
  page.network.requests = [];
  page.mics.init("site-token");
  page.mics.push("new");
  await page.clock.pass(1000);
  assert.deepEqual(page.network.names(), ["new"]);
  assert.equal(page.network.events()[0].a, undefined);
  assert.equal(page.network.requests[0].body.$user_identifiers, undefined);
  assert.equal(heard, 0);
});

test("an answer from before _reset is not heard", async () => {
  const page = openTagged();
  let fail;
  page.network.say = () => new Promise((_, reject) => (fail = reject));
  page.mics.push("old");
  await page.clock.pass(400);
  page.mics._reset();
  page.mics.init("site-token");
  fail(new Error("offline"));
  page.mics.push("new");
  page.network.say = ok;
  await page.clock.pass(400);
  assert.deepEqual(page.network.names(), ["old", "new"], "it does not make the new one wait");
});

test("another token: what is left of the first is sent under the first", async () => {
  const page = openTagged();
  page.network.say = () => Promise.reject(new Error("offline"));
  page.mics.push("first");
  await page.clock.pass(100);
  page.network.say = undefined;
  page.network.say = () => ({ status: 200, text: async () => "{}", headers: { get: () => null } });
  page.mics.init("second-token");
  page.mics.push("second");
  await page.clock.pass(3000);
  const next = page.next();
  next.mics.init("site-token");
  await page.clock.pass(3000);
  const sent = page.network.requests.map((one) => [one.body.$site_token, one.body.$events.map((event) => event.$ev)]);
  assert.deepEqual(sent.slice(-2), [
    ["second-token", ["second"]],
    ["site-token", ["first"]],
  ]);
});
