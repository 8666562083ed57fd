// The filter of the documentation page, and opening what an address names. The page reads without it.
"use strict";
const field = document.getElementById("filter");
const found = document.getElementById("found");
const operations = [...document.querySelectorAll("details.operation")];
const told = new Map(operations.map((one) => [one, one.textContent.toLowerCase()]));

function filter() {
  const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
  let count = 0;
  for (const one of operations) {
    const heading = one.querySelector("summary").textContent.toLowerCase();
    const text = told.get(one);
    // Short words only in the heading: everything holds "id" somewhere.
    one.hidden = !words.every((word) => (word.length > 3 ? text : heading).includes(word));
    count += !one.hidden;
  }
  for (const section of document.querySelectorAll("section")) {
    section.hidden = !section.querySelector("details.operation:not([hidden])");
    document.querySelector(`nav a[href="#${section.id}"]`).parentElement.hidden = section.hidden;
  }
  found.textContent = words.length ? `${count} of ${operations.length} calls` : "";
}

function open() {
  const named = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (named instanceof HTMLDetailsElement) {
    named.open = true;
    named.scrollIntoView();
  }
}

for (const one of operations) {
  one.addEventListener("toggle", () => {
    if (one.open) history.replaceState(null, "", `#${one.id}`);
  });
}
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && document.activeElement !== field) {
    event.preventDefault();
    field.focus();
  }
});
field.hidden = document.querySelector("label[for=filter]").hidden = false;
field.addEventListener("input", filter);
window.addEventListener("hashchange", open);
filter();
open();
