// What the console adds where JavaScript runs. Every page works without it.
"use strict";

// Copying.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const source = document.getElementById(button.dataset.copy);
  const label = button.dataset.label ??= button.textContent;
  try {
    await navigator.clipboard.writeText(source.textContent);
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(source);
    button.textContent = "Selected";
  }
  setTimeout(() => { button.textContent = label; }, 2000);
});

// Ticking keys: all of them with one click, and a button that says how many.
function countTicks() {
  const ticks = document.querySelectorAll('input[name="key"][type="checkbox"]');
  const ticked = [...ticks].filter((tick) => tick.checked).length;
  for (const button of document.querySelectorAll("[data-ticked]")) {
    button.hidden = ticked === 0;
    button.textContent = ticked === 1 ? "Revoke 1 key…" : `Revoke ${ticked} keys…`;
  }
  for (const all of document.querySelectorAll("[data-tick-all]")) {
    all.hidden = ticks.length === 0;
    all.checked = ticked > 0 && ticked === ticks.length;
    all.indeterminate = ticked > 0 && ticked < ticks.length;
  }
}

document.addEventListener("change", (event) => {
  if (event.target.matches("[data-tick-all]")) {
    for (const tick of document.querySelectorAll('input[name="key"][type="checkbox"]')) tick.checked = event.target.checked;
  }
  if (event.target.matches('[data-tick-all], input[name="key"]')) countTicks();
  if (event.target.matches("[data-date]")) showDate(event.target);
});

// A date is asked for only when the choice beside it says so.
function showDate(select) {
  const date = document.getElementById(select.dataset.date);
  date.hidden = select.value !== "date";
  date.required = !date.hidden;
}

// Countdowns, in the words of the server: span in render.go has the same units.
const units = [
  [31536000, 2592000, 2, "year"], [2592000, 86400, 2, "month"], [604800, 86400, 2, "week"],
  [86400, 3600, 1, "day"], [3600, 60, 1, "hour"], [60, 1, 1, "minute"],
];

function span(seconds) {
  for (const [size, part, from, name] of units) {
    const rounded = Math.round(seconds / part) * part;
    if (rounded < from * size) continue;
    const n = Math.floor(rounded / size);
    return n === 1 ? `1 ${name}` : `${n} ${name}s`;
  }
  return "a moment";
}

function countDown() {
  for (const element of document.querySelectorAll("[data-until]")) {
    element.textContent = span((Date.parse(element.dataset.until) - Date.now()) / 1000);
  }
}

// "/" goes to the search; Escape closes what is open.
document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, select, textarea");
  const search = document.querySelector('[data-shortcut="/"]');
  if (event.key === "/" && !typing && search) {
    event.preventDefault();
    search.select();
  }
  if (event.key === "Escape") for (const menu of document.querySelectorAll(".dropdown[open]")) menu.open = false;
});
document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll(".dropdown[open]")) if (!menu.contains(event.target)) menu.open = false;
});

// Of a token, only the part that may be shown leaves the page: the prefix, the
// environment and the id; of an imported one what is before its dot.
document.addEventListener("submit", (event) => {
  const field = event.target.elements[event.target.dataset.publicOnly];
  if (!field) return;
  const text = field.value.trim();
  field.value = /^([a-z][a-z0-9]{1,15}_(live|test)_[0-9A-Za-z]{12})_/.exec(text)?.[1] ?? /^[^.]{1,16}\.(?=.)/.exec(text)?.[0] ?? text;
});

function prepare() {
  for (const button of document.querySelectorAll("[data-copy]")) button.hidden = false;
  for (const select of document.querySelectorAll("[data-date]")) showDate(select);
  countTicks();
  countDown();
}

// The page that shows a token answers a form. From here on a reload asks for
// the key's own page instead of sending the form again.
const token = document.querySelector("[data-address]");
if (token) history.replaceState(null, "", token.dataset.address);

// A mailed link carries its token behind "#", where no server and no log sees
// it. It goes into the form that needs it or, where one has to sign in first,
// along with whatever leads there.
const mailed = /^#token=([\w-]+)$/.exec(location.hash)?.[1];
if (mailed) {
  for (const link of document.querySelectorAll("a[data-carry]")) link.hash = location.hash;
  for (const next of document.querySelectorAll('input[name="next"]')) next.value += location.hash;
  for (const field of document.querySelectorAll("[data-token]")) {
    field.value = mailed;
    field.closest(".field").hidden = true;
    history.replaceState(null, "", location.pathname + location.search);
  }
}

prepare();
setInterval(countDown, 1000);
document.addEventListener("htmx:after:swap", prepare);
addEventListener("pageshow", countTicks);
