"use strict";

const assert = require("node:assert/strict");
const { test } = require("node:test");
const { openTagged } = require("./browser.js");

const offline = () => Promise.reject(new Error("offline"));

/** A consent manager: `say` tells the tag what the visitor chose. */
function manager() {
  const listeners = [];
  const tcfapi = (command, version, listener) => {
    assert.equal(command, "addEventListener");
    assert.equal(version, 2);
    listeners.push(listener);
  };
  const say = (data, success = true) => listeners.forEach((listener) => listener(data, success));
  return { tcfapi, say, listeners, choose: (purpose1) => say(choice(purpose1)) };
}

function choice(purpose1, eventStatus = "useractioncomplete") {
  return { eventStatus, gdprApplies: true, purpose: { consents: { 1: purpose1 } } };
}

function assertSilent(page) {
  assert.equal(page.network.requests.length, 0);
  assert.equal(page.network.beacons.length, 0);
  assert.equal(page.storage.length, 0);
}

test("refused: nothing is kept, nothing is sent, also not by a beacon, and later consent does not bring it back", async () => {
  const page = openTagged();
  page.mics.consent(false);
  page.mics.pushDefault();
  await page.clock.pass(1000);
  page.hide();
  assertSilent(page);
  page.mics.consent(true);
  page.mics.push("a");
  await page.clock.pass(1000);
  assert.deepEqual(page.network.names(), ["a"]);
  assert.equal(page.network.requests[0].body.$consent, true);
});

test("refusing takes away what was kept, of every tab, and other tabs do not send it either", async () => {
  const page = openTagged();
  page.network.say = offline;
  page.mics.push("a");
  const other = page.next();
  other.mics.init("site-token");
  other.mics.push("b");
  await page.clock.pass(1000);
  assert.equal(page.storage.length, 2);
  page.network.requests = [];
  other.mics.consent(false);
  assert.equal(page.storage.length, 0);
  await page.clock.pass(600_000);
  assert.deepEqual(page.network.names(), []);
  assertSilent(page);
});

test("refusing while a request is on its way: its answer changes nothing", async () => {
  const page = openTagged();
  let fail;
  page.network.say = () => new Promise((_, reject) => (fail = reject));
  page.mics.push("a");
  await page.clock.pass(1000);
  page.mics.consent(false);
  fail(new Error("offline"));
  await page.clock.pass(600_000);
  assert.equal(page.network.requests.length, 1);
  assert.equal(page.storage.length, 0);
});

test("only true is consent", async () => {
  const page = openTagged();
  for (const word of ["false", 0, undefined, "yes", 1]) {
    page.mics.consent(word);
    page.mics.pushDefault();
  }
  await page.clock.pass(1000);
  assertSilent(page);
});

test("waitForConsent: events wait in memory, and are sent when consent comes", async () => {
  const page = openTagged({ config: { waitForConsent: true } });
  page.mics.pushDefault();
  await page.clock.pass(60_000);
  page.hide();
  assertSilent(page);
  page.mics.consent(true);
  await page.clock.pass(1000);
  assert.deepEqual(page.network.names(), ["$page_view"]);
});

test("waitForConsent: a page that goes before the answer leaves nothing", async () => {
  const page = openTagged({ config: { waitForConsent: true } });
  page.mics.pushDefault();
  page.leave();
  assertSilent(page);
});

test("a consent manager: events wait for its first answer, and follow it", async () => {
  const { tcfapi, choose, say } = manager();
  const page = openTagged({ window: { __tcfapi: tcfapi } });
  page.mics.pushDefault();
  await page.clock.pass(60_000);
  say({ eventStatus: "cmpuishown", gdprApplies: true, purpose: { consents: {} } });
  say(null, false);
  say(choice(true), false);
  await page.clock.pass(60_000);
  assertSilent(page);
  choose(true);
  await page.clock.pass(1000);
  assert.deepEqual(page.network.names(), ["$page_view"]);
  assert.equal(page.network.requests[0].body.$consent, true);
});

test("purpose 1 refused: what waited is gone, and what follows is not remembered", async () => {
  const { tcfapi, choose } = manager();
  const page = openTagged({ window: { __tcfapi: tcfapi } });
  page.mics.push("before");
  choose(false);
  page.mics.push("refused");
  await page.clock.pass(1000);
  assertSilent(page);
  choose(true);
  page.mics.push("after");
  await page.clock.pass(1000);
  assert.deepEqual(page.network.names(), ["after"]);
});

test("purpose 1 withdrawn later: what is kept goes", async () => {
  const { tcfapi, choose } = manager();
  const page = openTagged({ window: { __tcfapi: tcfapi } });
  page.network.say = offline;
  choose(true);
  page.mics.push("a");
  await page.clock.pass(1000);
  assert.equal(page.storage.length, 1);
  page.network.requests = [];
  choose(false);
  await page.clock.pass(600_000);
  assertSilent(page);
});

for (const [why, data] of [
  ["says nothing of purposes", { eventStatus: "tcloaded", gdprApplies: true }],
  ["does not know whether the law applies", { eventStatus: "tcloaded", purpose: { consents: {} } }],
]) {
  test(`a manager that ${why} gave no consent`, async () => {
    const { tcfapi, say } = manager();
    const page = openTagged({ window: { __tcfapi: tcfapi } });
    say(data);
    page.mics.pushDefault();
    await page.clock.pass(1000);
    assertSilent(page);
  });
}

test("where the law does not apply, nobody is asked", async () => {
  const { tcfapi, say } = manager();
  const page = openTagged({ window: { __tcfapi: tcfapi } });
  say({ eventStatus: "tcloaded", gdprApplies: false });
  page.mics.pushDefault();
  await page.clock.pass(1000);
  assert.deepEqual(page.network.names(), ["$page_view"]);
});

test("both must agree: the manager and what the page says", async () => {
  const { tcfapi, choose } = manager();
  const page = openTagged({ window: { __tcfapi: tcfapi } });
  page.mics.consent(true);
  page.mics.push("a");
  await page.clock.pass(1000);
  assertSilent(page);
  choose(true);
  await page.clock.pass(1000);
  assert.deepEqual(page.network.names(), ["a"]);
  page.mics.consent(false);
  page.mics.push("b");
  choose(true);
  await page.clock.pass(1000);
  assert.deepEqual(page.network.names(), ["a"]);
});

test("a manager that comes after the tag is asked all the same", async () => {
  const { tcfapi, choose, listeners } = manager();
  const page = openTagged();
  page.window.__tcfapi = tcfapi;
  page.mics.push("a");
  page.mics.push("b");
  await page.clock.pass(1000);
  assertSilent(page);
  assert.equal(listeners.length, 1);
  choose(true);
  await page.clock.pass(1000);
  assert.deepEqual(page.network.names(), ["a", "b"]);
});

test("a manager that throws is a manager that has not answered", async () => {
  const page = openTagged({
    window: {
      __tcfapi() {
        throw new Error("broken");
      },
    },
  });
  page.mics.pushDefault();
  page.mics.push("a");
  await page.clock.pass(1000);
  assertSilent(page);
});

test("an answer of the manager from before _reset is not heard", async () => {
  const { tcfapi, choose, listeners } = manager();
  const page = openTagged({ window: { __tcfapi: tcfapi } });
  page.mics._reset();
  page.mics.init("site-token");
  page.mics.push("a");
  listeners[0](choice(true), true);
  await page.clock.pass(1000);
  assertSilent(page);
  choose(true);
  await page.clock.pass(1000);
  assert.deepEqual(page.network.names(), ["a"]);
});

for (const [signal, given] of [
  ["Do Not Track", { navigator: { doNotTrack: "1" } }],
  ["Do Not Track of old Firefox", { navigator: { doNotTrack: "yes" } }],
  ["Do Not Track of old Safari", { window: { doNotTrack: "1" } }],
  ["Global Privacy Control", { navigator: { globalPrivacyControl: true } }],
]) {
  test(`${signal}: nothing, whatever the page says`, async () => {
    const page = openTagged(given);
    page.mics.consent(true);
    page.mics.pushDefault();
    await page.clock.pass(1000);
    page.hide();
    assertSilent(page);
  });

  test(`${signal}, on a site that has decided otherwise: honourSignals`, async () => {
    const page = openTagged({ ...given, config: { honourSignals: false } });
    page.mics.pushDefault();
    await page.clock.pass(1000);
    assert.deepEqual(page.network.names(), ["$page_view"]);
  });
}

for (const doNotTrack of ["0", null, "unspecified", undefined]) {
  test(`doNotTrack ${doNotTrack} is no wish`, async () => {
    const page = openTagged({ navigator: { doNotTrack } });
    page.mics.pushDefault();
    await page.clock.pass(1000);
    assert.deepEqual(page.network.names(), ["$page_view"]);
  });
}
