// Runs before the first paint, so that a page never flashes in the other theme. The server sets the attribute from the
// cookie as well; this covers pages that were kept by the browser.
"use strict";
(function () {
  const found = document.cookie.match(/(?:^|; )theme=(light|dark)(?:;|$)/);
  if (found) document.documentElement.dataset.theme = found[1];
  document.documentElement.classList.add("js");
})();
