"use strict";

// A browser as far as the tag sees it: storage, network, clock and events are the test's.

const fs = require("node:fs");
const path = require("node:path");
const vm = require("node:vm");

const SOURCE = path.join(__dirname, "..", "..", "..", "gateway", "collect", "tag", "tag.js");
// What browsers get, where whoever runs the tests says: the source without comments and indentation.
const CODE = fs.readFileSync(process.env.TAG_SERVED || SOURCE, "utf8");

const START_MS = 1_700_000_000_000;
const METHODS = "init call config push pushDefault addIdentifier addProperties addProperty consent onFinish onStart _reset";

/** The time, shared by all pages of a test. */
class Clock {
  constructor() {
    this.ms = START_MS;
    this.timers = [];
    this.last = 0;
  }

  set(work, delayMs) {
    this.timers.push({ id: ++this.last, at: this.ms + (delayMs || 0), work });
    return this.last;
  }

  clear(id) {
    this.timers = this.timers.filter((timer) => timer.id !== id);
  }

  /** Let time pass, timer by timer, and promises between them. */
  async pass(ms) {
    const end = this.ms + ms;
    for (;;) {
      await settled();
      const due = this.timers.filter((timer) => timer.at <= end).sort((a, b) => a.at - b.at || a.id - b.id)[0];
      if (!due) break;
      this.clear(due.id);
      this.ms = Math.max(this.ms, due.at);
      due.work();
    }
    this.ms = end;
  }
}

/** Until every promise that can go on has. */
async function settled() {
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
}

/** A site's localStorage. */
class Storage {
  constructor() {
    this.items = new Map();
    this.maxChars = Infinity;
  }

  get length() {
    return this.items.size;
  }

  key(index) {
    return [...this.items.keys()][index] ?? null;
  }

  getItem(name) {
    return this.items.get(name) ?? null;
  }

  setItem(name, value) {
    if (value.length > this.maxChars) throw new Error("QuotaExceededError");
    this.items.set(name, value);
  }

  removeItem(name) {
    this.items.delete(name);
  }

  /** The names of all events in it. */
  events() {
    return [...this.items.values()].flatMap((value) => JSON.parse(value).queue.map((entry) => entry.event.$ev));
  }
}

/** What the collect plane got, and what it says. */
class Network {
  constructor() {
    this.requests = [];
    this.beacons = [];
    this.say = () => ok();
  }

  /** The events of all requests, in order. */
  events() {
    return this.requests.flatMap((request) => request.body.$events);
  }

  names() {
    return this.events().map((event) => event.$ev);
  }
}

function answer(status, body = "{}", headers = {}) {
  return { status, text: async () => body, headers: { get: (name) => headers[name] ?? null } };
}

function ok() {
  return answer(200, '{"status":"ok","results":[]}');
}

function target(object) {
  const listeners = {};
  object.addEventListener = (name, work) => (listeners[name] = listeners[name] || []).push(work);
  object.fire = (name, event = {}) => (listeners[name] || []).forEach((work) => work(event));
  return object;
}

/**
 * A page with the tag on it.
 * Given: clock, network, storage (null: the browser denies it), url, referrer, snippet (false: only the file is loaded),
 * calls (what the page did before the file came), name, and `window`, `navigator`, `document`: further properties.
 */
function openPage(given = {}) {
  const clock = given.clock || new Clock();
  const network = given.network || new Network();
  const storage = given.storage === undefined ? new Storage() : given.storage;
  const warnings = [];
  const location = new URL(given.url || "https://shop.example/home");
  const names = given.names || ["mics"];

  class FakeDate extends Date {
    static now() {
      return clock.ms;
    }
  }

  const window = target({
    location,
    Date: FakeDate,
    Promise,
    Uint16Array,
    setTimeout: (work, delayMs) => clock.set(work, delayMs),
    clearTimeout: (id) => clock.clear(id),
    console: { warn: (...words) => warnings.push(words.join(" ")) },
    crypto: { getRandomValues: (words) => words.forEach((_, i) => (words[i] = Math.random() * 65536)) },
    AbortController: class {
      constructor() {
        this.signal = { abort: null };
      }
      abort() {
        if (this.signal.abort) this.signal.abort(new Error("aborted"));
      }
    },
    document: target({
      referrer: given.referrer || "",
      visibilityState: "visible",
      currentScript: { src: "https://collect.example:8443/tag.js" },
      ...given.document,
    }),
    navigator: {
      sendBeacon(url, body) {
        network.beacons.push({ url, body: JSON.parse(body) });
        return true;
      },
      ...given.navigator,
    },
    history: {
      pushState: (_state, _title, url) => (location.href = new URL(url, location.href).href),
      replaceState: (_state, _title, url) => (location.href = new URL(url, location.href).href),
    },
    fetch(url, options) {
      const request = { url, options, body: JSON.parse(options.body), atMs: clock.ms };
      network.requests.push(request);
      return new Promise((resolve, reject) => {
        options.signal.abort = reject;
        Promise.resolve(network.say(request)).then((said) => said && resolve(said), reject);
      });
    },
    ...given.window,
  });
  Object.defineProperty(window, "localStorage", {
    get() {
      if (!storage) throw new Error("SecurityError");
      return storage;
    },
  });
  window.window = window;

  if (given.snippet !== false) {
    const tags = (window.scimhtiraidem = { _names: names, _queue: {} });
    for (const name of names) {
      tags._queue[name] = [];
      window[name] = tags[name] = {};
      for (const method of METHODS.split(" ")) {
        window[name][method] = (...args) => tags._queue[name].push({ method, args });
      }
    }
  }
  if (given.before) given.before(window);
  vm.createContext(window);
  const load = () => vm.runInContext(CODE, window, { filename: "tag.js" });
  if (given.load !== false) load();

  return {
    window,
    clock,
    network,
    storage,
    warnings,
    load,
    mics: window[names[0]],
    /** Another page, or another tab, of the same site. */
    next: (more = {}) => openPage({ clock, network, storage, ...more }),
    hide() {
      window.document.visibilityState = "hidden";
      window.document.fire("visibilitychange");
    },
    /** The visitor goes elsewhere: nothing of this page runs any more. */
    leave() {
      window.fire("pagehide", { persisted: false });
      this.hide();
      this.crash();
    },
    /** Nothing of this page runs any more, and it was not told. */
    crash() {
      clock.timers = [];
    },
  };
}

/** A page where `init` was called. */
function openTagged(given = {}) {
  const page = openPage(given);
  if (given.config) page.mics.config(given.config);
  page.mics.init("site-token");
  return page;
}

module.exports = { Clock, Network, Storage, answer, ok, openPage, openTagged, settled, CODE, SOURCE, START_MS };
