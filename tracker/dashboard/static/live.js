// The live view: asks for what is new, writes it as text, keeps the newest rows. Stops while hidden, paused, or left alone.
"use strict";
(function () {
  const table = document.getElementById("live");
  if (!table) return;
  const body = table.tBodies[0];
  const state = document.getElementById("live-state");
  const button = document.getElementById("live-pause");
  const empty = document.getElementById("live-empty");
  const every = Number(table.dataset.seconds) * 1000, most = Number(table.dataset.most);
  const LEFT_ALONE = 3600000, SLOWEST = 30000;
  const clock = new Intl.DateTimeFormat("en-GB", { timeZone: table.dataset.zone, hour: "2-digit", minute: "2-digit", second: "2-digit" });
  const day = new Intl.DateTimeFormat("en-CA", { timeZone: table.dataset.zone });
  const seen = new Set();
  let cursor = "", timer = 0, asking = false, paused = false, wait = every, touched = Date.now(), known = false;

  function cell(row, kind, text, name) {
    const made = document.createElement(kind);
    if (name) made.className = name;
    made.textContent = text;
    row.append(made);
    return made;
  }
  function line(told) {
    const row = document.createElement("tr");
    row.dataset.key = told.key;
    if (known) row.className = "fresh";
    const at = new Date(told.at);
    const time = cell(cell(row, "td", "", "nowrap"), "time", clock.format(at));
    time.dateTime = told.at;
    time.title = day.format(at) + " " + clock.format(at);
    cell(cell(row, "td", "", "nowrap"), "span", told.label, "badge " + told.tone);
    const words = cell(row, "td", "", "words");
    const link = cell(words, "a", told.words || "no details");
    link.href = told.href;
    if (told.more) cell(words, "span", told.more, "sub");
    if (told.link) cell(words, "span", told.link, "sub on-phone");
    cell(row, "td", told.link || "–", told.link ? "" : "muted");
    return row;
  }
  function show(rows) {
    let fresh = 0;
    rows.forEach((told) => {
      if (seen.has(told.key)) return;
      seen.add(told.key);
      body.prepend(line(told));
      fresh += 1;
    });
    while (body.rows.length > most) body.lastElementChild.remove();
    if (seen.size > 20 * most) {  // an answer repeats the newest only
      const old = seen.size - 10 * most;
      let dropped = 0;
      for (const key of seen) { if (dropped++ >= old) break; seen.delete(key); }
    }
    empty.hidden = body.rows.length > 0;
    return fresh;
  }
  async function ask() {
    clearTimeout(timer);
    if (asking || paused || document.hidden) return;
    if (Date.now() - touched > LEFT_ALONE) { pause("Paused: nobody has been here for an hour"); return; }
    asking = true;
    try {
      const address = table.dataset.feed + (cursor ? (table.dataset.feed.includes("?") ? "&" : "?") + "after=" + encodeURIComponent(cursor) : "");
      const answer = await fetch(address, { headers: { "HX-Request": "true" }, cache: "no-store" });
      const away = answer.headers.get("HX-Redirect");
      if (away) { location.assign(away); return; }
      if (answer.status === 429) wait = Math.min(SLOWEST, Math.max(2 * wait, 1000 * Number(answer.headers.get("Retry-After") || 0)));
      if (!answer.ok) throw new Error(answer.status === 503 ? "The database does not answer" : "The server refused this (" + answer.status + ")");
      const told = await answer.json();
      if (!paused) {
        show(told.rows);
        cursor = told.cursor;
        known = true;
        wait = every;
        state.textContent = "Live, up to " + clock.format(new Date());
      }
    } catch (error) {
      wait = Math.min(SLOWEST, 2 * wait);
      const words = error instanceof TypeError ? "The server does not answer" : error.message;
      state.textContent = words + "; trying again, nothing is missed";
    } finally {
      asking = false;
      if (!paused) timer = setTimeout(ask, wait);
    }
  }
  function pause(words) {
    paused = true;
    clearTimeout(timer);
    button.textContent = "Resume";
    button.setAttribute("aria-pressed", "true");
    state.textContent = words;
  }
  function resume() {
    paused = false;
    wait = every;
    button.textContent = "Pause";
    button.setAttribute("aria-pressed", "false");
    state.textContent = "Catching up";
    ask();
  }

  button.addEventListener("click", () => { if (paused) resume(); else pause("Paused; what happens meanwhile is shown when you resume"); });
  document.addEventListener("visibilitychange", () => { if (!document.hidden) ask(); });
  ["pointermove", "pointerdown", "keydown", "scroll", "touchstart"].forEach((name) => document.addEventListener(name, () => { touched = Date.now(); }, { passive: true }));
  const filters = document.getElementById("live-filters");
  filters.addEventListener("change", () => filters.requestSubmit());
  ask();
})();
