/*
 * The website tag: what a page does becomes events of the collect plane (facts: mediarithmics 4.1).
 *
 * Written in ES5: a newer syntax is an error in an old browser, and that error would be the page's. What an old browser
 * lacks (fetch, localStorage) is looked for when it is needed. Nothing of ours throws into the page, except `init` with
 * an invalid token, and `pushDefault` and `push` before `init`.
 *
 * Served without comments and indentation: a comment stands on lines of its own, and no string goes over a line's end.
 *
 * - A page view or a push waits for a moment, so that those of one moment travel together, one request at a time.
 * - An event leaves the queue when it has been answered. The queue is kept in localStorage, each tab under a key of its
 *   own, because two tabs that wrote to one would lose events. A key is a lease: a tab that goes gives it up, that of
 *   one that crashed runs out, and whichever tab sees it next takes the events over. Two that do so at once send twice,
 *   and the collect plane stores once, by `$event_id`.
 * - Without consent nothing is kept and nothing is sent.
 */
(function (window) {
  "use strict";

  // Of a token, as the settings have it: so `|` is free to stand behind it in a key.
  var TOKEN = /^[\w.~+/=-]{1,255}$/;
  // Where the value of an identifier stands.
  var FIELDS = { USER_ACCOUNT: "$user_account_id", USER_AGENT: "$user_agent_id", USER_EMAIL: "$hash" };
  // Bounds of the queue; localStorage takes 5 million characters from a whole site.
  var MAX_EVENTS = 300;
  var MAX_CHARS = 2e5;
  // Of a request, so also of an event. At three bytes a character, one on its way and one at the page's end stay below
  // the 64 KiB that a browser lets outlive a page.
  var MAX_BODY_CHARS = 1e4;
  // The collect plane knows an event's id for seven days: what is sent after that could be stored twice.
  var MAX_AGE_MS = 6 * 864e5;
  // Longer than a browser holds back the timers of a tab in the background.
  var LEASE_MS = 9e4;
  var TIMEOUT_MS = 3e4;
  var FIRST_WAIT_MS = 1e3;
  var LONGEST_WAIT_MS = 3e5;
  // Of what `Retry-After` asks for.
  var LONGEST_ASKED_MS = 36e5;

  var document = window.document;
  var navigator = window.navigator;
  var location = window.location;
  var now = Date.now;
  var script = document.currentScript;
  var home = /^https?:\/\/[^/]+/.exec((script && script.src) || location.href) || [""];

  function complain(error) {
    if (window.console) window.console.warn("tag:", error);
  }

  // A function that never throws: for all that a page or a browser calls.
  function quiet(work) {
    return function () {
      try {
        return work.apply(this, arguments);
      } catch (error) {
        complain(error);
      }
    };
  }

  // Version 4. `crypto.randomUUID` is there on secure pages only.
  function uuid() {
    var words = new Uint16Array(8);
    if (window.crypto) window.crypto.getRandomValues(words);
    else for (var i = 0; i < 8; i++) words[i] = Math.random() * 65536;
    words[3] = (words[3] & 0xfff) | 0x4000;
    words[4] = (words[4] & 0x3fff) | 0x8000;
    return [].map
      .call(words, function (word) {
        return (word + 65536).toString(16).slice(1);
      })
      .join("")
      .replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
  }

  // An address without its fragment, unless the fragment is what navigates.
  function address() {
    return location.href.replace(/#(?![/!]).*/, "");
  }

  function privacySignal() {
    return (
      /^(1|yes)$/.test(navigator.doNotTrack || window.doNotTrack || navigator.msDoNotTrack) ||
      navigator.globalPrivacyControl === true
    );
  }

  function copyInto(target, source) {
    for (var name in source) {
      if (Object.prototype.hasOwnProperty.call(source, name) && source[name] !== undefined) target[name] = source[name];
    }
    return target;
  }

  function isNotIn(list) {
    return function (one) {
      return list.indexOf(one) < 0;
    };
  }

  function on(target, event, work) {
    target.addEventListener(event, quiet(work));
  }

  // One tag: `api` is the object that the page calls, its methods are put there.
  function start(api) {
    var options, token, properties, identifiers, queue, lost;
    // `kept`: the events under our key.
    var prefix, key, kept;
    // `retryAt`: as we think; `askedAt`: as the server wants.
    var sending, timer, failures, retryAt, askedAt;
    var said, tcf, tcfAsked, listens, hooked;
    // `viewed`: the address of the last page view.
    var current, referrer, viewed;
    var generation = 0;
    var listeners = { start: [], finish: [] };

    function clear() {
      generation++;
      clearTimeout(timer);
      token = said = tcf = tcfAsked = timer = undefined;
      options = { mode: "VISIT", batchSize: 20, batchInterval: 300, endpoint: home[0] };
      properties = {};
      identifiers = [];
      queue = [];
      kept = [];
      sending = [];
      lost = failures = retryAt = askedAt = 0;
      current = viewed = address();
      referrer = document.referrer;
      listeners.start = [];
      listeners.finish = [];
    }

    // Consent ---------------------------------------------------------------------------------------------------------

    // true: events are kept and sent; false: not even remembered; undefined: they wait in memory for an answer.
    function allowed() {
      askTcf();
      if ((options.honourSignals !== false && privacySignal()) || said === false || tcf === false) return false;
      // A page that is made ready ahead of time may never be seen.
      if (document.prerendering || (tcfAsked && !tcf) || (options.waitForConsent && !said && !tcf)) return undefined;
      return true;
    }

    // Where the page has a consent manager (TCF 2), its purpose 1, "store and access information on a device", decides.
    function askTcf() {
      if (tcfAsked || typeof window.__tcfapi !== "function") return;
      var asked = (tcfAsked = generation);
      window.__tcfapi(
        "addEventListener",
        2,
        quiet(function (data, success) {
          // While the dialogue is open, what was said before it still holds.
          if (!success || asked !== generation || data.eventStatus === "cmpuishown") return;
          tcf = data.gdprApplies === false || !!(data.purpose && data.purpose.consents && data.purpose.consents[1]);
          decide();
        })
      );
    }

    function decide() {
      var may = token && allowed();
      if (may === false) {
        queue = [];
        kept = [];
        forget();
      }
      if (may) {
        save(LEASE_MS);
        schedule(0);
      }
    }

    // The queue in localStorage ---------------------------------------------------------------------------------------

    // The keys of tabs with this token; none where a browser denies storage.
    function keys() {
      var found = [];
      try {
        for (var i = 0; i < window.localStorage.length; i++) {
          var name = window.localStorage.key(i);
          if (name.indexOf(prefix) === 0) found.push(name);
        }
      } catch (denied) {
        return found;
      }
      return found;
    }

    // Keep the queue for `leaseMs`; whether it is kept. Memory has it all the same: storage may be full, or denied.
    function save(leaseMs) {
      try {
        // Our key is gone: another tab took its events over, or consent was withdrawn there.
        if (kept.length && !window.localStorage.getItem(key)) queue = queue.filter(isNotIn(kept));
        if (queue.length) {
          window.localStorage.setItem(key, JSON.stringify({ until: now() + leaseMs, askedAt: askedAt, queue: queue }));
        } else {
          window.localStorage.removeItem(key);
        }
        kept = queue.slice();
        return true;
      } catch (denied) {
        return false;
      }
    }

    // For whichever page comes next.
    function release() {
      if (save(0)) queue = [];
      kept = [];
      key = prefix + uuid();
    }

    function forget() {
      keys().forEach(function (name) {
        window.localStorage.removeItem(name);
      });
    }

    // Take over what tabs have left that are no more.
    function adopt() {
      var left = keys().filter(function (name) {
        if (name === key) return false;
        var held;
        try {
          held = JSON.parse(window.localStorage.getItem(name));
          if (held.until > now() && held.until <= now() + LEASE_MS) return false;
          queue = held.queue
            .filter(function (entry) {
              return entry.context && entry.event.$event_id && now() - entry.at < MAX_AGE_MS;
            })
            .concat(queue);
          if (held.askedAt < now() + LONGEST_ASKED_MS) askedAt = Math.max(askedAt, held.askedAt);
        } catch (unreadable) {
          complain(unreadable);
        }
        return true;
      });
      if (left.length) {
        trim();
        // First ours with theirs, then theirs away: a crash between the two sends twice and loses nothing.
        if (save(LEASE_MS)) {
          left.forEach(function (name) {
            window.localStorage.removeItem(name);
          });
        }
      }
    }

    function trim() {
      var chars = 0;
      for (var i = queue.length - 1; i >= 0; i--) {
        chars += queue[i].chars;
        if (chars > MAX_CHARS || queue.length - i > MAX_EVENTS) {
          lost += i + 1;
          queue = queue.slice(i + 1);
          return;
        }
      }
    }

    // Sending ---------------------------------------------------------------------------------------------------------

    function schedule(delayMs) {
      clearTimeout(timer);
      timer = setTimeout(quiet(flush), delayMs);
    }

    // The oldest events of `entries` that may travel together.
    function batchOf(entries) {
      var chars = 0;
      var batch = [];
      for (var i = 0; i < entries.length && i < options.batchSize; i++) {
        chars += entries[i].chars;
        if (i && (chars > MAX_BODY_CHARS || entries[i].context !== entries[0].context)) break;
        batch.push(entries[i]);
      }
      return batch;
    }

    function bodyOf(batch) {
      var envelope = JSON.parse(batch[0].context);
      if (said || tcf) envelope.$consent = true;
      envelope.$sent_at = now();
      envelope.$events = batch.map(function (entry) {
        return entry.event;
      });
      return JSON.stringify(envelope);
    }

    function pixel() {
      return options.endpoint + "/v1/visits/pixel";
    }

    function tell(kind, about) {
      listeners[kind].forEach(function (listener) {
        quiet(listener)(about);
      });
    }

    function flush() {
      timer = undefined;
      if (sending.length || !token || !allowed() || !window.fetch) return;
      adopt();
      save(LEASE_MS);
      if (!queue.length) return;
      var waitMs = Math.max(retryAt, askedAt) - now();
      // Not longer than the lease: it is renewed on the way.
      if (waitMs > 0) schedule(Math.min(waitMs, LEASE_MS / 2));
      else send(batchOf(queue));
    }

    function send(batch) {
      var about = { url: pixel(), body: bodyOf(batch), status: 0 };
      var sender = generation;
      var abort = window.AbortController && new AbortController();
      var timeout = setTimeout(function () {
        if (abort) abort.abort();
      }, TIMEOUT_MS);
      sending = batch;
      tell("start", about);
      Promise.resolve()
        .then(function () {
          // A string goes as text/plain: a browser asks no leave of the server first.
          return window.fetch(about.url, {
            method: "POST",
            body: about.body,
            credentials: "include",
            keepalive: true,
            signal: abort ? abort.signal : undefined
          });
        })
        .then(function (response) {
          about.retryAfter = response.headers.get("Retry-After");
          return response.text().then(function (text) {
            about.answer = text;
            about.status = response.status;
          });
        })
        .then(null, function (error) {
          about.error = String(error);
        })
        .then(
          quiet(function () {
            clearTimeout(timeout);
            if (sender === generation) answered(batch, about);
          })
        );
    }

    function answered(batch, about) {
      var status = about.status;
      sending = [];
      var isRefused = status >= 400 && status < 500 && status !== 408 && status !== 429;
      // A "200" that is no JSON comes from somebody between us and the server: a hotel's login page.
      if (isRefused || (status >= 200 && status < 300 && /^\{/.test(about.answer))) {
        failures = retryAt = 0;
        if (isRefused) lost += batch.length;
        queue = queue.filter(isNotIn(batch));
      } else {
        var askedMs = /^\d+$/.test(about.retryAfter) ? about.retryAfter * 1e3 : Date.parse(about.retryAfter) - now();
        if (askedMs > 0) askedAt = now() + Math.min(askedMs, LONGEST_ASKED_MS);
        var waitMs = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * Math.pow(2, failures++));
        // Half of it is chance, so that pages that failed together do not come back together.
        retryAt = now() + waitMs * (0.5 + Math.random() / 2);
      }
      if (allowed()) save(LEASE_MS);
      about.queued = queue.length;
      about.lost = lost;
      tell("finish", about);
      if (queue.length) schedule(0);
    }

    // The page goes, or may go unseen: the browser sends what waits, and nobody hears the answer. So it stays in the
    // queue, and the next page asks again.
    function leave() {
      if (!token || !allowed() || !navigator.sendBeacon || askedAt > now()) return;
      var rest = queue.filter(function (entry) {
        return !entry.left;
      });
      // With others goes again what is on its way, ahead of them: the server makes a new visitor's id of the first event,
      // and whoever has no answer yet may have no cookie.
      if (!rest.some(isNotIn(sending))) return;
      while (rest.length) {
        var batch = batchOf(rest);
        if (!navigator.sendBeacon(pixel(), bodyOf(batch))) return;
        batch.forEach(function (entry) {
          entry.left = 1;
        });
        rest = rest.slice(batch.length);
      }
    }

    // Events ----------------------------------------------------------------------------------------------------------

    // Where the visitor came from is the address before this one, however the page got here.
    function moved() {
      var here = address();
      if (here === current) return false;
      referrer = current;
      current = here;
      return true;
    }

    var record = quiet(function (name, own) {
      var may = allowed();
      if (may === false) return;
      moved();
      if (name === "$page_view") viewed = current;
      var event = { $ev: name, $ts: now(), $event_id: uuid(), $url: location.href, $referrer: referrer };
      event = copyInto(copyInto(event, properties), own);
      event.$ev = String(name);
      // Written now: what the page does to its objects later is no part of the event.
      var text = JSON.stringify(event);
      if (text.length > MAX_BODY_CHARS) {
        lost++;
        return complain(event.$ev + " is too large");
      }
      var context = JSON.stringify({
        $site_token: token,
        $session_status: options.mode === "LIVE" ? "LIVE" : "IN_SESSION",
        $user_identifiers: identifiers.length ? identifiers : undefined
      });
      queue.push({ at: now(), chars: text.length + 100, context: context, event: JSON.parse(text) });
      trim();
      if (!may) return;
      save(LEASE_MS);
      if (queue.length >= options.batchSize) flush();
      else if (!timer) schedule(options.batchInterval);
    });

    function navigated() {
      moved();
      if (token && options.autoPageViews && viewed !== current) record("$page_view");
    }

    function hook(method) {
      var history = window.history;
      var original = history[method];
      var look = quiet(navigated);
      history[method] = function () {
        var result = original.apply(this, arguments);
        look();
        return result;
      };
    }

    function listen() {
      listens = true;
      on(window, "online", function () {
        retryAt = failures = 0;
        if (token) schedule(0);
      });
      on(document, "visibilitychange", function () {
        if (document.visibilityState === "hidden") leave();
      });
      on(window, "pagehide", function () {
        leave();
        if (token && allowed()) release();
      });
      // Back from the browser's cache.
      on(window, "pageshow", decide);
      on(document, "prerenderingchange", decide);
    }

    function configure(given) {
      copyInto(options, given);
      if (given.domain_name && !given.endpoint) {
        options.endpoint = (location.protocol === "http:" ? "http://" : "https://") + given.domain_name;
      }
      options.endpoint = options.endpoint.replace(/\/+$/, "");
      if (options.autoPageViews && !hooked) {
        hooked = true;
        hook("pushState");
        hook("replaceState");
        on(window, "popstate", navigated);
      }
      decide();
    }

    var begin = quiet(function (given) {
      if (prefix && allowed()) release();
      token = given.site_token;
      prefix = "mics|" + token + "|";
      key = prefix + uuid();
      if (!listens) listen();
      configure(given);
      // For the lease of a tab that crashed a moment ago.
      setTimeout(quiet(flush), LEASE_MS);
    });

    function demand() {
      if (!token) throw new Error("call init first");
    }

    // What the page calls ---------------------------------------------------------------------------------------------

    var methods = {
      config: quiet(configure),
      addProperty: quiet(function (name, value) {
        properties[name] = value;
      }),
      addProperties: quiet(function (more) {
        copyInto(properties, more);
      }),
      addIdentifier: quiet(function (type, value) {
        var added = typeof type === "string" ? { $type: type } : copyInto({}, type);
        var field = FIELDS[added.$type];
        if (value && typeof value === "object") copyInto(added, value);
        else if (value) added[field === "$hash" && /@/.test(value) ? "$email" : field] = String(value);
        // Of a page that does not know its visitor: with it the server would refuse every event.
        if (!field || !(added[field] || added.$email)) return complain("no identifier: " + added.$type);
        identifiers = identifiers
          .filter(function (other) {
            return other.$type !== added.$type || other.$compartment_id !== added.$compartment_id;
          })
          .concat(added);
      }),
      consent: quiet(function (given) {
        said = given === true;
        decide();
      }),
      onStart: function (listener) {
        listeners.start.push(listener);
      },
      onFinish: function (listener) {
        listeners.finish.push(listener);
      },
      _reset: quiet(function () {
        if (token) forget();
        clear();
      }),
      init: function (given) {
        given = typeof given === "object" ? given || {} : { site_token: given };
        var asked = given.site_token;
        if (typeof asked !== "string" || !TOKEN.test(asked)) throw new Error("invalid site token");
        begin(given);
      },
      push: function (name, own) {
        demand();
        record(name, own);
      },
      pushDefault: function () {
        demand();
        record("$page_view");
      },
      call: function (method) {
        if (methods[method] && method !== "call") methods[method].apply(api, [].slice.call(arguments, 1));
      }
    };

    clear();
    return copyInto(api, methods);
  }

  // The page's snippet: `_names` of tags, a stub of each, and in `_queue` what they were called with.
  var tags = (window.scimhtiraidem = window.scimhtiraidem || {});
  tags._live = tags._live || {};
  (tags._names || ["mics"]).forEach(
    quiet(function (name) {
      // Each snippet loads this file; the first that runs serves all.
      if (tags._live[name]) return;
      tags._live[name] = true;
      var tag = start((tags[name] = tags[name] || {}));
      if (!window[name]) window[name] = tag;
      ((tags._queue || {})[name] || []).forEach(
        quiet(function (call) {
          tag[call.method].apply(tag, call.args);
        })
      );
    })
  );
})(window);
