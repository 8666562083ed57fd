// The variable palette: a press writes {name} where the cursor is, or was, in a template field.
(() => {
  "use strict";
  let last = document.getElementById("url");
  document.addEventListener("focusin", (event) => {
    if (event.target.matches("[data-template]")) last = event.target;
  });
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-variable]");
    if (!button || !last) return;
    const text = "{" + button.dataset.variable + "}";
    last.setRangeText(text, last.selectionStart, last.selectionEnd, "end");
    last.focus();
    last.dispatchEvent(new Event("input", { bubbles: true }));
  });
})();
