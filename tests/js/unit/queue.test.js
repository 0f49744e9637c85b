"use strict";

const assert = require("node:assert/strict");
const { Buffer } = require("node:buffer");
const { test } = require("node:test");
const { Storage, answer, ok, openTagged } = require("./browser.js");

const offline = () => Promise.reject(new Error("offline"));
const LEASE_MS = 90_000;

test("events of one moment travel together, those of the next by themselves", async () => {
  const page = openTagged();
  page.mics.pushDefault();
  page.mics.push("a");
  await page.clock.pass(1000);
  page.mics.push("b");
  await page.clock.pass(100);
  page.mics.push("c");
  await page.clock.pass(1000);
  assert.deepEqual(
    page.network.requests.map((request) => request.body.$events.map((event) => event.$ev)),
    [
      ["$page_view", "a"],
      ["b", "c"],
    ],
  );
});

test("a full batch does not wait, and the next waits for its answer", async () => {
  const page = openTagged({ config: { batchSize: 2 } });
  await page.clock.pass(10);
  let release;
  page.network.say = () => new Promise((resolve) => (release = () => resolve(ok())));
  for (const name of ["a", "b", "c", "d"]) page.mics.push(name);
  await page.clock.pass(0);
  assert.deepEqual(page.network.names(), ["a", "b"]);
  await page.clock.pass(5000);
  assert.deepEqual(page.network.names(), ["a", "b"]);
  release();
  await page.clock.pass(10);
  assert.deepEqual(page.network.names(), ["a", "b", "c", "d"]);
});

test("an event is kept until it is answered", async () => {
  const page = openTagged();
  page.network.say = offline;
  page.mics.push("a");
  assert.deepEqual(page.storage.events(), ["a"]);
  await page.clock.pass(400);
  assert.deepEqual(page.storage.events(), ["a"]);
  page.network.say = ok;
  await page.clock.pass(5000);
  assert.equal(page.storage.length, 0);
});

test("the next page sends what this one could not, once", async () => {
  const page = openTagged();
  page.network.say = offline;
  page.mics.push("a");
  await page.clock.pass(400);
  page.leave();
  page.network.requests = [];
  page.network.say = ok;
  const next = page.next();
  next.mics.init("site-token");
  next.mics.push("b");
  await page.clock.pass(60_000);
  assert.deepEqual(page.network.names(), ["a", "b"]);
  assert.equal(page.storage.length, 0);
});

test("what a page sent and never heard of is sent again with the same id", async () => {
  const page = openTagged();
  page.network.say = () => new Promise(() => {});
  page.mics.push("a");
  await page.clock.pass(400);
  page.leave();
  page.network.say = ok;
  page.next().mics.init("site-token");
  await page.clock.pass(1000);
  const ids = page.network.events().map((event) => event.$event_id);
  assert.equal(ids.length, 2);
  assert.equal(new Set(ids).size, 1);
});

test("a crashed tab's events wait for the end of its lease", async () => {
  const page = openTagged();
  page.network.say = offline;
  page.mics.push("a");
  page.crash();
  page.network.say = ok;
  const next = page.next();
  next.mics.init("site-token");
  await page.clock.pass(LEASE_MS / 2);
  assert.deepEqual(page.network.names(), []);
  await page.clock.pass(LEASE_MS);
  assert.deepEqual(page.network.names(), ["a"]);
});

test("two tabs leave each other's queue alone, also through a long outage", async () => {
  const one = openTagged();
  one.network.say = offline;
  const other = one.next();
  other.mics.init("site-token");
  one.mics.push("of one");
  other.mics.push("of the other");
  await one.clock.pass(20 * LEASE_MS);
  assert.equal(one.storage.length, 2);
  assert.ok(one.network.requests.every((request) => request.body.$events.length === 1));
});

test("a tab whose queue was taken over does not send it, and keeps what came later", async () => {
  const slow = openTagged();
  slow.network.say = offline;
  slow.mics.push("old");
  const frozen = slow.clock.timers;
  slow.clock.timers = [];
  await slow.clock.pass(LEASE_MS + 1);
  slow.network.requests = [];
  slow.network.say = ok;
  slow.next().mics.init("site-token");
  await slow.clock.pass(1000);
  assert.deepEqual(slow.network.names(), ["old"]);
  slow.clock.timers.push(...frozen);
  slow.mics.push("new");
  await slow.clock.pass(5000);
  assert.deepEqual(slow.network.names(), ["old", "new"]);
});

test("bounded in events: the oldest go first and are counted", async () => {
  const page = openTagged();
  page.network.say = offline;
  let lost = 0;
  page.mics.onFinish((request) => (lost = request.lost));
  for (let i = 0; i < 310; i++) page.mics.push(`e${i}`);
  await page.clock.pass(10_000);
  const kept = page.storage.events();
  assert.equal(kept.length, 300);
  assert.equal(kept[0], "e10");
  assert.equal(lost, 10);
});

test("bounded in characters", async () => {
  const page = openTagged();
  page.network.say = offline;
  for (let i = 0; i < 100; i++) page.mics.push(`e${i}`, { text: "x".repeat(5000) });
  await page.clock.pass(1000);
  const kept = page.storage.events();
  assert.ok(kept.length > 30 && kept.length < 40, String(kept.length));
  assert.equal(kept.at(-1), "e99");
  assert.ok(page.storage.getItem(page.storage.key(0)).length < 250_000);
});

test("an event that no request could carry is not taken, and is counted", async () => {
  const page = openTagged();
  let lost;
  page.mics.onFinish((request) => (lost = request.lost));
  page.mics.push("huge", { text: "x".repeat(10_000) });
  page.mics.push("small");
  await page.clock.pass(1000);
  assert.deepEqual(page.network.names(), ["small"]);
  assert.equal(lost, 1);
  assert.match(page.warnings[0], /huge is too large/);
});

test("two requests at once never pass the 64 KiB that outlive a page, at three bytes a character", async () => {
  const page = openTagged({ config: { batchSize: 1000 } });
  page.network.say = () => new Promise(() => {});
  for (let i = 0; i < 40; i++) page.mics.push(`e${i}`, { text: "€".repeat(1000) });
  await page.clock.pass(1000);
  page.leave();
  const bytes = (body) => Buffer.byteLength(JSON.stringify(body));
  assert.ok(bytes(page.network.requests[0].body) + bytes(page.network.beacons[0].body) < 65_536);
});

for (const [why, given] of [
  ["denied", { storage: null }],
  ["full", { storage: Object.assign(new Storage(), { maxChars: 10 }) }],
]) {
  test(`storage is ${why}: memory serves, through an outage and the browser's cache`, async () => {
    const page = openTagged(given);
    page.network.say = offline;
    page.mics.push("a");
    await page.clock.pass(400);
    page.window.fire("pagehide", { persisted: true });
    page.network.say = ok;
    page.network.requests = [];
    page.window.fire("pageshow", { persisted: true });
    await page.clock.pass(5000);
    assert.deepEqual(page.network.names(), ["a"]);
  });
}

test("back from the browser's cache a page goes on, and sends nothing twice that another page took", async () => {
  const page = openTagged();
  page.network.say = offline;
  page.mics.push("a");
  await page.clock.pass(400);
  page.window.fire("pagehide", { persisted: true });
  const frozen = page.clock.timers;
  page.clock.timers = [];
  page.network.say = ok;
  page.network.requests = [];
  const next = page.next();
  next.mics.init("site-token");
  await page.clock.pass(1000);
  next.leave();
  page.clock.timers = frozen;
  page.window.fire("pageshow", { persisted: true });
  page.mics.push("b");
  await page.clock.pass(5000);
  assert.deepEqual(page.network.names(), ["a", "b"]);
});

test("back from the browser's cache a page takes up again what it left", async () => {
  const page = openTagged();
  page.network.say = offline;
  page.mics.push("a");
  await page.clock.pass(400);
  page.window.fire("pagehide", { persisted: true });
  page.crash();
  page.network.say = ok;
  page.network.requests = [];
  page.window.fire("pageshow", { persisted: true });
  await page.clock.pass(5000);
  assert.deepEqual(page.network.names(), ["a"]);
  assert.equal(page.storage.length, 0);
});

test("who takes over keeps to the bounds", async () => {
  const page = openTagged();
  page.network.say = offline;
  for (const tab of [page, page.next()]) {
    tab.mics.config({ batchSize: 1000 });
    tab.mics.init("site-token");
    for (let i = 0; i < 200; i++) tab.mics.push(`e${i}`);
    tab.leave();
  }
  page.next().mics.init("site-token");
  await page.clock.pass(5000);
  assert.equal(page.storage.events().length, 300);
});

test("who takes over and cannot keep it leaves it where it was, and sends it", async () => {
  const page = openTagged();
  page.network.say = offline;
  page.mics.push("a");
  page.leave();
  page.storage.maxChars = 10;
  const next = page.next();
  next.mics.init("site-token");
  await page.clock.pass(100);
  assert.deepEqual(page.storage.events(), ["a"]);
});

test("a page that never rests sends all the same", async () => {
  const page = openTagged();
  for (let i = 0; i < 10; i++) {
    page.mics.push(`e${i}`);
    await page.clock.pass(200);
  }
  assert.ok(page.network.requests.length > 3, String(page.network.requests.length));
});

test("what is older than the server's memory of ids is not sent", async () => {
  const page = openTagged();
  page.network.say = offline;
  page.mics.push("a");
  page.leave();
  await page.clock.pass(6.5 * 86_400_000);
  page.network.requests = [];
  page.network.say = ok;
  const next = page.next();
  next.mics.init("site-token");
  await page.clock.pass(5000);
  assert.deepEqual(page.network.names(), []);
  assert.equal(page.storage.length, 0);
});

for (const value of ["", "no JSON", "null", "[]", '{"until":0,"queue":[null,{}]}', '{"until":0,"queue":7}']) {
  test(`somebody else's ${value || "nothing"} under our keys does no harm`, async () => {
    const storage = new Storage();
    storage.setItem("mics|site-token|x", value);
    storage.setItem("theirs", "theirs");
    const page = openTagged({ storage });
    page.mics.push("a");
    await page.clock.pass(1000);
    assert.deepEqual(page.network.names(), ["a"]);
    assert.deepEqual([...storage.items], [["theirs", "theirs"]]);
  });
}

test("a lease from a clock that was ahead counts as none", async () => {
  const page = openTagged();
  page.network.say = offline;
  page.mics.push("a");
  page.crash();
  page.clock.ms -= 3_600_000;
  page.network.say = ok;
  page.next().mics.init("site-token");
  await page.clock.pass(1000);
  assert.deepEqual(page.network.names(), ["a"]);
});

test("answers say what became of each event; all of them are final", async () => {
  const page = openTagged();
  const results = [{ status: "refused" }, { status: "duplicate" }, { status: "dropped" }];
  page.network.say = () => answer(200, JSON.stringify({ status: "ok", results }));
  for (const name of ["a", "b", "c"]) page.mics.push(name);
  await page.clock.pass(60_000);
  assert.equal(page.network.requests.length, 1);
  assert.equal(page.storage.length, 0);
});
