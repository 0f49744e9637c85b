"use strict";

const assert = require("node:assert/strict");
const { test } = require("node:test");
const { START_MS, answer, ok, openTagged } = require("./browser.js");

const offline = () => Promise.reject(new Error("offline"));

function waits(page) {
  const times = page.network.requests.map((request) => request.atMs);
  return times.slice(1).map((time, i) => time - times[i]);
}

test("waits double from a second to five minutes, half of each by chance", async () => {
  const page = openTagged();
  page.network.say = offline;
  page.mics.push("a");
  await page.clock.pass(4 * 3_600_000);
  const found = waits(page);
  assert.ok(found.length > 20);
  found.forEach((wait, i) => {
    const full = Math.min(1000 * 2 ** i, 300_000);
    assert.ok(wait >= full / 2 && wait <= full + 1, `wait ${i} is ${wait} of ${full}`);
  });
  assert.ok(new Set(found.slice(9)).size > 5, "chance");
});

for (const status of [408, 429, 500, 502, 503, 302]) {
  test(`${status} is tried again, with the same ids`, async () => {
    const page = openTagged();
    page.network.say = () => answer(status);
    page.mics.push("a");
    await page.clock.pass(500);
    page.network.say = ok;
    await page.clock.pass(5000);
    const ids = page.network.events().map((event) => event.$event_id);
    assert.equal(ids.length, 2);
    assert.equal(ids[0], ids[1]);
  });
}

for (const status of [400, 401, 403, 404, 413, 422]) {
  test(`${status} is not tried again; the events are counted, those behind them are sent`, async () => {
    const page = openTagged({ config: { batchSize: 1 } });
    let lost;
    page.mics.onFinish((request) => (lost = request.lost));
    page.network.say = () => {
      page.network.say = ok;
      return answer(status);
    };
    page.mics.push("a");
    page.mics.push("b");
    await page.clock.pass(60_000);
    assert.deepEqual(page.network.names(), ["a", "b"]);
    assert.equal(lost, 1);
    assert.equal(page.storage.length, 0);
  });
}

test("a 200 that is a login page is no answer of ours", async () => {
  const page = openTagged();
  page.network.say = () => answer(200, "<!doctype html><title>Hotel</title>");
  page.mics.push("a");
  await page.clock.pass(500);
  page.network.say = ok;
  await page.clock.pass(5000);
  assert.equal(page.network.requests.length, 2);
});

test("an answer that breaks off is none", async () => {
  const page = openTagged();
  page.network.say = () => ({ ...ok(), text: () => Promise.reject(new Error("reset")) });
  page.mics.push("a");
  await page.clock.pass(500);
  page.network.say = ok;
  await page.clock.pass(5000);
  assert.equal(page.network.requests.length, 2);
});

for (const [value, ms] of [
  ["40", 40_000],
  [new Date(START_MS + 40_000).toUTCString(), 40_000],
  ["999999", 3_600_000],
]) {
  test(`Retry-After: ${value} is waited for, but not longer than an hour`, async () => {
    const page = openTagged();
    page.network.say = () => answer(503, "{}", { "Retry-After": value });
    page.mics.push("a");
    await page.clock.pass(ms - 1000);
    assert.equal(page.network.requests.length, 1);
    page.network.say = ok;
    await page.clock.pass(2000);
    assert.equal(page.network.requests.length, 2);
  });
}

test("the next page waits as well when the server asked for it, and sends no beacon meanwhile", async () => {
  const page = openTagged();
  page.network.say = () => answer(429, "{}", { "Retry-After": "60" });
  page.mics.push("a");
  await page.clock.pass(1000);
  page.leave();
  assert.equal(page.network.beacons.length, 0);
  page.network.say = ok;
  page.next().mics.init("site-token");
  await page.clock.pass(50_000);
  assert.equal(page.network.requests.length, 1);
  await page.clock.pass(20_000);
  assert.equal(page.network.requests.length, 2);
});

test("online again: at once, but not before the server wants it", async () => {
  const page = openTagged();
  page.network.say = offline;
  page.mics.push("a");
  await page.clock.pass(120_000);
  page.network.say = ok;
  const before = page.network.requests.length;
  page.window.fire("online");
  await page.clock.pass(1);
  assert.equal(page.network.requests.length, before + 1);

  page.network.say = () => answer(503, "{}", { "Retry-After": "30" });
  page.mics.push("b");
  await page.clock.pass(1000);
  page.network.say = ok;
  page.window.fire("online");
  await page.clock.pass(1000);
  assert.equal(page.network.requests.length, before + 2);
});

test("new events do not shorten the wait", async () => {
  const page = openTagged();
  page.network.say = () => answer(503, "{}", { "Retry-After": "30" });
  page.mics.push("a");
  await page.clock.pass(1000);
  for (let i = 0; i < 30; i++) page.mics.push("b");
  await page.clock.pass(20_000);
  assert.equal(page.network.requests.length, 1);
});

test("a request without an answer is given up after half a minute, and tried again", async () => {
  const page = openTagged();
  page.network.say = () => new Promise(() => {});
  page.mics.push("a");
  await page.clock.pass(29_000);
  assert.equal(page.network.requests.length, 1);
  page.network.say = ok;
  await page.clock.pass(5000);
  assert.equal(page.network.requests.length, 2);
});

test("a page's own fetch that throws, or gives no promise, is a failure like another", async () => {
  const page = openTagged();
  const real = page.window.fetch;
  page.window.fetch = () => {
    throw new Error("blocked");
  };
  page.mics.push("a");
  await page.clock.pass(500);
  page.window.fetch = () => undefined;
  await page.clock.pass(1500);
  page.window.fetch = real;
  await page.clock.pass(10_000);
  assert.deepEqual(page.network.names(), ["a"]);
});

test("after a success the next failure waits a second again", async () => {
  const page = openTagged();
  page.network.say = offline;
  page.mics.push("a");
  await page.clock.pass(100_000);
  page.network.say = ok;
  await page.clock.pass(300_000);
  page.network.say = offline;
  page.network.requests = [];
  page.mics.push("b");
  await page.clock.pass(1400);
  assert.equal(page.network.requests.length, 2);
});
