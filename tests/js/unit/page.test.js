"use strict";

const assert = require("node:assert/strict");
const { test } = require("node:test");
const { openTagged } = require("./browser.js");

const AUTO = { config: { autoPageViews: true } };

function ways(page) {
  return page.network.events().map((event) => [event.$ev, new URL(event.$url).pathname, event.$referrer]);
}

test("each event has the address it happened at, and the one before it as referrer", async () => {
  const page = openTagged({ referrer: "https://search.example/" });
  page.mics.pushDefault();
  page.window.history.pushState(null, "", "/shoes");
  page.mics.push("a");
  page.mics.push("b");
  page.window.history.replaceState(null, "", "/shoes/1");
  page.mics.push("c");
  await page.clock.pass(1000);
  assert.deepEqual(ways(page), [
    ["$page_view", "/home", "https://search.example/"],
    ["a", "/shoes", "https://shop.example/home"],
    ["b", "/shoes", "https://shop.example/home"],
    ["c", "/shoes/1", "https://shop.example/shoes"],
  ]);
});

test("autoPageViews: a new address is a page view, by script or by the visitor's back button", async () => {
  const page = openTagged(AUTO);
  page.mics.pushDefault();
  page.window.history.pushState(null, "", "/shoes");
  page.window.history.replaceState(null, "", "/shoes?size=44");
  page.window.location.href = "https://shop.example/home";
  page.window.fire("popstate");
  await page.clock.pass(1000);
  assert.deepEqual(ways(page), [
    ["$page_view", "/home", ""],
    ["$page_view", "/shoes", "https://shop.example/home"],
    ["$page_view", "/shoes", "https://shop.example/shoes"],
    ["$page_view", "/home", "https://shop.example/shoes?size=44"],
  ]);
});

test("the same address again is none, nor is a place within the page", async () => {
  const page = openTagged(AUTO);
  page.window.history.replaceState({ a: 1 }, "", "/home");
  page.window.history.pushState(null, "", "/home#reviews");
  page.window.fire("popstate");
  await page.clock.pass(1000);
  assert.deepEqual(ways(page), []);
});

test("a fragment that is a path navigates", async () => {
  const page = openTagged({ ...AUTO, url: "https://shop.example/#/home" });
  page.mics.pushDefault();
  page.window.location.href = "https://shop.example/#/shoes";
  page.mics.push("a");
  page.window.fire("popstate");
  page.window.location.href = "https://shop.example/#!bags";
  page.window.fire("popstate");
  await page.clock.pass(1000);
  assert.deepEqual(
    page.network.events().map((event) => [event.$ev, event.$url.slice(21), event.$referrer.slice(21)]),
    [
      ["$page_view", "#/home", ""],
      ["a", "#/shoes", "#/home"],
      ["$page_view", "#/shoes", "#/home"],
      ["$page_view", "#!bags", "#/shoes"],
    ],
  );
});

test("a page view that the page sent itself is not sent again when the browser tells of the address", async () => {
  const page = openTagged(AUTO);
  page.window.location.href = "https://shop.example/back";
  page.mics.pushDefault();
  page.window.fire("popstate");
  await page.clock.pass(1000);
  assert.deepEqual(ways(page), [["$page_view", "/back", "https://shop.example/home"]]);
});

test("autoPageViews can be turned off again", async () => {
  const page = openTagged(AUTO);
  page.mics.config({ autoPageViews: false });
  page.window.history.pushState(null, "", "/shoes");
  await page.clock.pass(1000);
  assert.deepEqual(ways(page), []);
});

test("without the setting, navigation is the page's own business, and its history is left as it was", async () => {
  const page = openTagged({ load: true });
  const source = String(page.window.history.pushState);
  assert.match(source, /new URL/);
  page.window.history.pushState(null, "", "/shoes");
  page.window.fire("popstate");
  await page.clock.pass(1000);
  assert.deepEqual(ways(page), []);
});

test("a history call gives the page what it gave before: its value, its errors", async () => {
  const page = openTagged({
    ...AUTO,
    window: {
      history: {
        pushState: (state) => {
          if (state === "bad") throw new Error("DataCloneError");
          return "value";
        },
        replaceState: () => undefined,
      },
    },
  });
  assert.equal(page.window.history.pushState("good", "", "/a"), "value");
  assert.throws(() => page.window.history.pushState("bad", "", "/b"), { message: "DataCloneError" });
});

test("when the page hides, what waits leaves with a beacon, once", async () => {
  const page = openTagged();
  page.mics.push("a");
  page.mics.push("b");
  page.hide();
  page.window.fire("pagehide", { persisted: false });
  assert.equal(page.network.beacons.length, 1);
  const [{ url, body }] = page.network.beacons;
  assert.equal(url, "https://collect.example:8443/v1/visits/pixel");
  assert.deepEqual(
    body.$events.map((event) => event.$ev),
    ["a", "b"],
  );
  assert.equal(body.$site_token, "site-token");
  assert.deepEqual(page.storage.events(), ["a", "b"], "nobody heard the answer");
});

test("what is on its way already goes again at the head of the beacon, but not by itself", async () => {
  const page = openTagged();
  page.network.say = () => new Promise(() => {});
  page.mics.push("a");
  await page.clock.pass(400);
  page.hide();
  assert.equal(page.network.beacons.length, 0);
  page.mics.push("b");
  page.hide();
  assert.deepEqual(
    page.network.beacons.map((beacon) => beacon.body.$events.map((event) => event.$ev)),
    [["a", "b"]],
  );
});

test("a beacon that the browser does not take stays in the queue", async () => {
  const page = openTagged({ navigator: { sendBeacon: () => false } });
  page.mics.push("a");
  page.leave();
  assert.deepEqual(page.storage.events(), ["a"]);
  page.next().mics.init("site-token");
  await page.clock.pass(1000);
  assert.deepEqual(page.network.names(), ["a"]);
});

test("a page that is made ready ahead of time sends when it is seen", async () => {
  const page = openTagged({ document: { prerendering: true } });
  page.mics.pushDefault();
  page.hide();
  await page.clock.pass(60_000);
  assert.equal(page.network.requests.length + page.network.beacons.length + page.storage.length, 0);
  page.window.document.prerendering = false;
  page.window.document.fire("prerenderingchange");
  await page.clock.pass(1000);
  assert.deepEqual(page.network.names(), ["$page_view"]);
});

test("a page that never calls init is left alone", async () => {
  const page = openTagged({ before: (window) => (window.untouched = true) });
  assert.ok(page.window.untouched);
  const silent = require("./browser.js").openPage();
  silent.window.fire("online");
  silent.leave();
  await silent.clock.pass(LONG_MS);
  assert.equal(silent.network.requests.length + silent.storage.length, 0);
  assert.equal(silent.warnings.length, 0);
});

const LONG_MS = 600_000;
