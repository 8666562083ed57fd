// The health page refreshes itself while somebody looks at it, and says so when it cannot.
"use strict";
(function () {
  const button = document.getElementById("health-pause"), said = document.getElementById("health-said"), at = document.getElementById("health-at");
  if (!button) return;
  const LEFT_ALONE = 4 * 3600000;
  let paused = false, timer = 0, asking = false, touched = Date.now();

  async function ask() {
    clearTimeout(timer);
    if (asking || paused || document.hidden) return;
    const shown = document.getElementById("health");
    if (Date.now() - touched > LEFT_ALONE) { pause("Paused, nobody has been here for hours; as of"); return; }
    asking = true;
    try {
      const answer = await fetch(location.href, { headers: { "HX-Request": "true" }, cache: "no-store" });
      const away = answer.headers.get("HX-Redirect");
      if (away) { location.assign(away); return; }
      if (!answer.ok) throw new Error("refused");
      const found = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("health");
      if (!found) throw new Error("no page");
      const focused = document.activeElement && document.activeElement.closest("#health a") ? document.activeElement.getAttribute("href") : "";
      if (!paused) {
        shown.replaceWith(document.adoptNode(found));
        at.textContent = found.dataset.at;
        said.textContent = "As of";
        const again = focused && Array.from(document.querySelectorAll("#health a")).find((link) => link.getAttribute("href") === focused);
        if (again) again.focus();
      }
    } catch {
      said.textContent = "The server does not answer; trying again. This is as of";
    } finally {
      asking = false;
      if (!paused) timer = setTimeout(ask, 1000 * Number(document.getElementById("health").dataset.seconds));
    }
  }
  function pause(words) {
    paused = true;
    clearTimeout(timer);
    said.textContent = words;
    button.textContent = "Resume";
    button.setAttribute("aria-pressed", "true");
  }
  button.addEventListener("click", () => {
    if (!paused) { pause("Paused; as of"); return; }
    paused = false;
    touched = Date.now();
    button.textContent = "Pause";
    button.setAttribute("aria-pressed", "false");
    ask();
  });
  document.addEventListener("visibilitychange", () => { if (!document.hidden) ask(); });
  ["pointermove", "keydown", "touchstart"].forEach((name) => document.addEventListener(name, () => { touched = Date.now(); }, { passive: true }));
  timer = setTimeout(ask, 1000 * Number(document.getElementById("health").dataset.seconds));
})();
