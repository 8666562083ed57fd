// The variable palette: a press writes {name} where the cursor is, or was, in the template field last written in or clicked.
// Not the one last focused: who goes to the palette by Tab passes through other fields on the way.
(() => {
  "use strict";
  let last = document.getElementById("url");
  for (const kind of ["input", "pointerdown"]) {
    document.addEventListener(kind, (event) => {
      if (event.target.matches("[data-template]")) last = event.target;
    });
  }
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-variable]");
    if (!button || !last) return;
    const text = "{" + button.dataset.variable + "}";
    last.setRangeText(text, last.selectionStart, last.selectionEnd, "end");
    last.focus();
    last.dispatchEvent(new Event("input", { bubbles: true }));
  });
})();
