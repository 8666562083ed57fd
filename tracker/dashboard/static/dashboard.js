// What a page cannot do by itself: theme, shortcuts, copying, charts. Everything else is links and forms.
"use strict";
(function () {
  const one = (selector, within) => (within || document).querySelector(selector);
  const all = (selector, within) => Array.from((within || document).querySelectorAll(selector));
  const root = document.documentElement;

  function say(text) {
    const place = one("#said");
    if (place) place.textContent = text;
  }

  // Theme -------------------------------------------------------------------------------------------------------------
  function isDark() {
    return root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  }
  function nameTheme() {
    const button = one("#theme-switch");
    if (!button) return;
    button.hidden = false;
    one("span", button).textContent = isDark() ? "Light mode" : "Dark mode";
  }
  function switchTheme() {
    root.dataset.theme = isDark() ? "light" : "dark";
    document.cookie = "theme=" + root.dataset.theme + "; path=/; max-age=31536000; samesite=lax";
    nameTheme();
    draw(document, true);
  }

  // Charts ------------------------------------------------------------------------------------------------------------
  const drawn = new Map();
  function colour(name) {
    return getComputedStyle(root).getPropertyValue("--" + name).trim();
  }
  function chart(place) {
    const given = JSON.parse(place.dataset.series);
    const money = (value) => (value == null ? "–" : "$" + value.toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 }));
    const count = (value) => (value == null ? "–" : value.toLocaleString("en"));
    const grid = { stroke: colour("line"), width: 1 };
    const axis = { stroke: colour("muted"), grid: grid, ticks: { show: false }, font: "12px " + getComputedStyle(document.body).fontFamily };
    const write = given.step === "hour" ? { weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" }
      : given.step === "month" ? { month: "long", year: "numeric" } : { weekday: "short", day: "numeric", month: "short", year: "numeric" };
    write.timeZone = given.zone;
    const names = new Intl.DateTimeFormat("en", write);
    const short = (wish) => new Intl.DateTimeFormat("en-GB", Object.assign({ timeZone: given.zone }, wish));
    const hours = short({ hour: "2-digit", minute: "2-digit" }), dayNames = short({ day: "numeric", month: "short" }), months = short({ month: "short", year: "numeric" });
    const mark = (seconds, step) => {
      const at = new Date(seconds * 1000);
      if (given.step === "month" || step >= 28 * 86400) return months.format(at);
      const hour = hours.format(at);
      return step >= 86400 || hour === "00:00" ? dayNames.format(at) : hour;
    };
    const options = {
      width: place.clientWidth || 600,
      height: 250,
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), given.zone),
      padding: [10, 0, 0, 0],
      cursor: { drag: { x: true, y: false }, points: { size: 7 } },
      scales: { x: { time: true }, count: { range: (u, low, high) => [0, Math.max(4, high * 1.08)] }, few: { range: (u, low, high) => [0, Math.max(4, high * 1.6)] }, money: { range: (u, low, high) => [Math.min(0, low), Math.max(1, high * 1.08)] } },
      axes: [
        Object.assign({}, axis, { space: 76, size: 32, values: (u, splits, index, space, step) => splits.map((seconds) => mark(seconds, step)) }),
        Object.assign({}, axis, { scale: "count", size: 54, values: (u, values) => values.map((value) => (Number.isInteger(value) ? value.toLocaleString("en") : "")) }),
        Object.assign({}, axis, { scale: "money", side: 1, size: 62, grid: { show: false }, values: (u, values) => values.map((value) => "$" + value.toLocaleString("en")) }),
      ],
      series: [
        { label: "Time", value: (u, seconds) => (seconds == null ? "–" : names.format(new Date(seconds * 1000))) },
        { label: "Clicks", scale: "count", stroke: colour("blue"), width: 2, fill: "rgba(" + colour("heat") + ",.08)", value: (u, value) => count(value), points: { show: given.times.length < 40, size: 5 } },
        { label: "Subscribers", scale: "few", stroke: colour("orange"), width: 2, value: (u, value) => count(value), points: { show: given.times.length < 40, size: 5 } },
        { label: "Revenue", scale: "money", stroke: colour("green"), width: 2, value: (u, value) => money(value), points: { show: given.times.length < 40, size: 5 } },
      ],
    };
    place.replaceChildren();
    return new uPlot(options, [given.times, given.clicks, given.subscribers, given.revenue], place);
  }
  function draw(within, again) {
    if (!window.uPlot) return;
    drawn.forEach((plot, place) => {
      if (!document.contains(place) || again) { plot.destroy(); drawn.delete(place); }
    });
    all("[data-series]", within).forEach((place) => {
      if (!drawn.has(place)) drawn.set(place, chart(place));
    });
  }
  let resizing = 0;
  addEventListener("resize", () => {
    cancelAnimationFrame(resizing);
    resizing = requestAnimationFrame(() => drawn.forEach((plot, place) => plot.setSize({ width: place.clientWidth, height: 250 })));
  });

  // Copying -----------------------------------------------------------------------------------------------------------
  async function copy(button) {
    const source = document.getElementById(button.dataset.copy);
    const text = source.value || source.textContent;
    let done = true;
    try {
      await navigator.clipboard.writeText(text.trim());
    } catch {  // no secure context: the old way
      const range = document.createRange();
      range.selectNodeContents(source);
      const selection = getSelection();
      selection.removeAllRanges();
      selection.addRange(range);
      done = document.execCommand("copy");
    }
    const words = one("span", button) || button;
    const before = words.dataset.words || words.textContent;
    words.dataset.words = before;
    words.textContent = done ? "Copied" : "Press Ctrl+C";
    say(done ? "Copied" : "Selected; press Ctrl+C to copy");
    setTimeout(() => { words.textContent = before; }, 1600);
  }

  // Keyboard ----------------------------------------------------------------------------------------------------------
  let going = 0;
  function typing(target) {
    return target.closest("input:not([type=checkbox]):not([type=radio]), select, textarea, [contenteditable]");
  }
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
    const help = one("#help");
    if (help && help.open) return;
    const key = event.key;
    if (going && Date.now() - going < 1200) {
      going = 0;
      const link = all("[data-go]").find((entry) => entry.dataset.go === key);
      if (link) { event.preventDefault(); link.click(); }
      return;
    }
    if (key === "g") going = Date.now();
    else if (key === "?" && help) { event.preventDefault(); help.showModal(); }
    else if (key === "t") switchTheme();
    else if (key === "/") { const search = one("input[type=search]"); if (search) { event.preventDefault(); search.focus(); } }
    else if (key === "n") { const link = one("[data-key=n]"); if (link) link.click(); }
    else if (key === "r") { const link = one("[data-key=r]:not([aria-current])"); if (link) link.click(); }
  });

  document.addEventListener("click", (event) => {
    const target = event.target.closest("button, summary");
    if (!target) return;
    if (target.dataset.copy) copy(target);
    else if (target.id === "theme-switch") switchTheme();
    else if (target.id === "help-open") one("#help").showModal();
  });

  // htmx: the token with every request, the charts after every swap ------------------------------------------------------
  document.addEventListener("htmx:configRequest", (event) => {
    event.detail.headers["X-CSRF-Token"] = one("meta[name=csrf]").content;
    // Empty fields stay out of the address.
    if (event.detail.verb === "get") {
      const values = event.detail.parameters;
      Object.keys(values).forEach((name) => { if (values[name] === "") delete values[name]; });
    }
  });
  document.addEventListener("htmx:afterSettle", (event) => {
    draw(document);
    const summary = one("[data-said]");
    if (summary) say(summary.dataset.said);
  });
  document.addEventListener("htmx:responseError", () => say("The server refused this request."));
  document.addEventListener("htmx:sendError", () => say("The server did not answer."));

  nameTheme();
  const helpButton = one("#help-open");
  if (helpButton) helpButton.hidden = false;
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { nameTheme(); draw(document, true); });
  draw(document);
})();
