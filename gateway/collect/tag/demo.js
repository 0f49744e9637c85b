/* The demo page: the snippet as a site has it, and buttons that call the tag. */

// The snippet. A site has it in its head, between script tags.
(function (window, document, name, address) {
  var tags = (window.scimhtiraidem = window.scimhtiraidem || {});
  var tag = (window[name] = tags[name] = tags[name] || {});
  var queue = ((tags._queue = tags._queue || {})[name] = tags._queue[name] || []);
  (tags._names = tags._names || []).push(name);
  "init call config push pushDefault addIdentifier addProperties addProperty consent onFinish onStart _reset"
    .split(" ")
    .forEach(function (method) {
      tag[method] = tag[method] || function () {
        queue.push({ method: method, args: [].slice.call(arguments) });
      };
    });
  var script = document.createElement("script");
  script.async = true;
  script.src = address;
  document.head.appendChild(script);
})(window, document, "mics", "/tag.js");

(function () {
  "use strict";

  const PRODUCTS = [
    { $id: "58936", $name: "Linen shirt", $price: 49.9 },
    { $id: "61204", $name: "Walking shoes", $price: 119 },
    { $id: "70011", $name: "Rain coat", $price: 89.5 },
  ];
  const SHOWN = 50;
  const mics = window.mics;
  const find = (selector) => document.querySelector(selector);
  const basket = [];

  // Requests and answers ---------------------------------------------------------------------------------------------

  const pending = new WeakMap();

  function part(kind, text, style) {
    const made = document.createElement(kind);
    made.textContent = text;
    if (style) made.className = style;
    return made;
  }

  function folded(title, text) {
    const made = document.createElement("details");
    made.append(part("summary", title), part("pre", pretty(text)));
    return made;
  }

  function pretty(text) {
    try {
      return JSON.stringify(JSON.parse(text), null, 2);
    } catch {
      return text || "(nothing)";
    }
  }

  function verdict(request) {
    try {
      return JSON.parse(request.answer).results.map((one) => one.error || one.status).join(", ");
    } catch {
      return request.error || "";
    }
  }

  mics.onStart(function (request) {
    const item = document.createElement("li");
    const title = document.createElement("h3");
    const names = JSON.parse(request.body).$events.map((event) => event.$ev).join(", ");
    const state = part("span", "waiting for the answer", "waiting");
    title.append(part("span", names), state);
    item.append(title, folded("POST " + request.url, request.body));
    find("#log").prepend(item);
    pending.set(request, { item, state });
    while (find("#log").children.length > SHOWN) find("#log").lastChild.remove();
  });

  mics.onFinish(function (request) {
    const { item, state } = pending.get(request);
    const isGood = request.status >= 200 && request.status < 300;
    state.className = isGood ? "good" : "bad";
    state.textContent = (request.status || "no answer") + " " + verdict(request);
    item.append(folded("Answer", request.answer || request.error));
    find("#state").textContent =
      request.queued + " waiting in the queue, " + request.lost + " lost. The last answer: " + state.textContent;
  });

  // What the buttons do ----------------------------------------------------------------------------------------------

  function press(name, isPressed) {
    find("[data-do=" + name + "]").setAttribute("aria-pressed", isPressed);
  }

  let isLive = false;
  const doing = {
    view: () => mics.pushDefault(),
    refuse() {
      mics.consent(false);
      press("refuse", true);
      press("agree", false);
      find("#state").textContent = "Refused: nothing is kept and nothing is sent.";
    },
    agree() {
      mics.consent(true);
      press("refuse", false);
      press("agree", true);
    },
    live() {
      isLive = !isLive;
      mics.config({ mode: isLive ? "LIVE" : "VISIT" });
      press("live", isLive);
    },
    checkout() {
      if (!basket.length) return;
      mics.push("$transaction_confirmed", { $id: "demo-" + Date.now(), $items: basket.splice(0) });
      showBasket();
    },
    clear: () => find("#log").replaceChildren(),
  };

  function showBasket() {
    const sum = basket.reduce((total, item) => total + item.$price * item.$qty, 0);
    find("#basket").textContent = basket.length
      ? basket.map((item) => item.$qty + " × " + item.$name).join(", ") + ": " + sum.toFixed(2)
      : "The basket is empty.";
  }

  PRODUCTS.forEach(function (product) {
    const item = document.createElement("li");
    const label = part("span", product.$name + " ");
    label.append(part("small", product.$price.toFixed(2)));
    const look = part("button", "View");
    const take = part("button", "Add");
    look.setAttribute("aria-label", "View " + product.$name);
    take.setAttribute("aria-label", "Add " + product.$name + " to the basket");
    look.addEventListener("click", () => mics.push("$item_view", { $items: [product] }));
    take.addEventListener("click", function () {
      const there = basket.find((held) => held.$id === product.$id);
      if (there) there.$qty += 1;
      else basket.push({ ...product, $qty: 1 });
      mics.push("$basket_view", { $items: basket });
      showBasket();
    });
    item.append(label, look, take);
    find("#products").append(item);
  });

  document.addEventListener("click", function (click) {
    const button = click.target.closest("[data-do]");
    if (button) doing[button.dataset.do]();
    const link = click.target.closest("nav a");
    if (!link || click.ctrlKey || click.metaKey || click.shiftKey) return;
    click.preventDefault();
    history.pushState(null, "", link.href);
    showAddress();
  });

  function showAddress() {
    find("#here").textContent = location.pathname + location.search;
    document.querySelectorAll("nav a").forEach(function (link) {
      if (link.href === location.href) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    });
  }

  window.addEventListener("popstate", showAddress);

  find("#event").addEventListener("submit", function (submit) {
    submit.preventDefault();
    const { name, properties } = submit.target.elements;
    try {
      mics.push(name.value, JSON.parse(properties.value || "{}"));
      properties.setCustomValidity("");
    } catch (error) {
      properties.setCustomValidity("This is no JSON: " + error.message);
      properties.reportValidity();
    }
  });
  find("#event textarea").addEventListener("input", (input) => input.target.setCustomValidity(""));

  find("#identify").addEventListener("submit", function (submit) {
    submit.preventDefault();
    const { email, account } = submit.target.elements;
    if (email.value) mics.addIdentifier("USER_EMAIL", email.value);
    if (account.value) mics.addIdentifier("USER_ACCOUNT", account.value);
    find("#state").textContent = "The events that follow carry it.";
  });

  // As on any site ---------------------------------------------------------------------------------------------------

  mics.config({ autoPageViews: true });
  mics.init(document.documentElement.dataset.siteToken);
  mics.pushDefault();

  showAddress();
  const isSilent = navigator.globalPrivacyControl || navigator.doNotTrack === "1";
  find("#signals").textContent = isSilent
    ? "This browser asks not to be tracked (Do Not Track or Global Privacy Control): the tag keeps and sends nothing."
    : "This browser does not ask to be left alone; if it did, nothing would be kept or sent.";
})();
