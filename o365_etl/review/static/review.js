// What the pages do in the browser beyond forms and links. Every page works without it.
"use strict";

// --- what goes on: asked every two seconds while something runs, every ten otherwise
const activity = document.getElementById("activity");
let version = activity ? activity.dataset.version : "";
let wasBusy = activity ? activity.classList.contains("busy") : false;

async function look() {
  let next = 10000;
  try {
    const answer = await fetch("/activity", { headers: { Accept: "application/json" } });
    if (answer.status === 401) {
      location.reload();
      return;
    }
    const now = await answer.json();
    const isBusy = now.kind === "busy";
    const bar = document.querySelector("progress[data-written]");
    if (bar && now.total) {
      bar.max = now.total;
      bar.value = now.done;
    }
    if (activity.className !== "activity " + now.kind || activity.dataset.text !== now.text) {
      activity.className = "activity " + now.kind;
      activity.dataset.text = now.text;
      activity.replaceChildren();
      if (now.text) {
        const spin = document.createElement("span");
        spin.className = "spin";
        spin.setAttribute("aria-hidden", "true");
        activity.append(spin, now.text);
      }
    }
    if (!isBusy && (wasBusy || now.version !== version)) {
      if (isResting()) {
        keepPlace(currentRow());
        location.reload();
        return;
      }
      if (!activity.querySelector("a")) {
        const link = document.createElement("a");
        link.href = location.href;
        link.textContent = "There is newer data: load the page again";
        activity.className = "activity busy";
        activity.append(" ", link);
      }
    }
    wasBusy = isBusy && now.kind !== "failed";
    next = isBusy ? 2000 : 10000;
  } catch (error) {
    // The website was stopped, or the machine sleeps: ask again later.
  }
  setTimeout(look, next);
}

// Nothing a person has begun on this page is lost by loading it again.
function isResting() {
  if (document.querySelector("form.sent")) return false;
  if (document.querySelector("dialog[open]") || document.querySelector("details[open] form.touched")) return false;
  if (document.querySelector("form.touched")) return false;
  const focused = document.activeElement;
  return !(focused && ["INPUT", "TEXTAREA", "SELECT"].includes(focused.tagName));
}

addEventListener("input", (event) => {
  const form = event.target.closest("form");
  if (form) form.classList.add("touched");
});

// --- keys: `data-key` on a button or link; j and k walk through `[data-row]`
function isTyping(target) {
  return target.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(target.tagName);
}

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
  // What was decided is on its way: the next key is for the page that comes.
  if (document.querySelector("form.sent")) return;
  const rows = [...document.querySelectorAll("[data-row]")];
  const current = event.target.closest ? event.target.closest("[data-row]") : null;
  if (rows.length && (event.key === "j" || event.key === "k")) {
    const step = event.key === "j" ? 1 : -1;
    const place = current ? rows.indexOf(current) + step : step === 1 ? 0 : rows.length - 1;
    const row = rows[Math.max(0, Math.min(rows.length - 1, place))];
    goTo(row);
    event.preventDefault();
    return;
  }
  if (event.key === "/") {
    const search = document.querySelector("input[type=search]");
    if (search) {
      search.focus();
      event.preventDefault();
    }
    return;
  }
  // A key that is held down decides once.
  if (event.repeat) return;
  const wanted = [...document.querySelectorAll("[data-key]")].filter((each) => each.dataset.key === event.key);
  // The row one is in; what has no such key there, or is in none, is for the page.
  const found = wanted.find((each) => current && current.contains(each)) || wanted.find((each) => !each.closest("[data-row]"));
  if (found) {
    found.click();
    event.preventDefault();
  }
});

// --- the place of a person on a page: kept when it is loaded again, and on the way back after a decision
function goTo(row) {
  (row.querySelector("[data-first], a, button") || row).focus({ preventScroll: true });
  row.scrollIntoView({ block: "nearest" });
}

// `rows` are the ids of rows to go to, the first that will be there.
function keepPlace(rows) {
  const open = [...document.querySelectorAll("details[open][id]")].map((each) => each.id);
  sessionStorage.setItem("place", JSON.stringify({ path: location.pathname, top: scrollY, rows, open }));
}

function currentRow() {
  const row = document.activeElement && document.activeElement.closest("[data-row]");
  return row ? [row.id] : [];
}

// After a decision the next row; where there is none the same one, or the one before. After `undo` the same one.
function rowsAfter(form) {
  const row = form.closest("[data-row]");
  if (!row) return form.closest("[data-for]") ? [form.closest("[data-for]").dataset.for] : [];
  const ids = [...document.querySelectorAll("[data-row]")].map((each) => each.id);
  const place = ids.indexOf(row.id);
  const isUndo = form.querySelector("[data-key=u]") !== null;
  return [...(isUndo ? [row.id] : []), ...ids.slice(place + 1), ...ids.slice(0, place + 1).reverse()];
}

function backToPlace() {
  const place = JSON.parse(sessionStorage.getItem("place") || "null");
  sessionStorage.removeItem("place");
  if (place && place.path === location.pathname) {
    place.open.forEach((id) => document.getElementById(id)?.setAttribute("open", ""));
    scrollTo(0, place.top);
    const row = place.rows.map((id) => document.getElementById(id)).find(Boolean);
    if (row) goTo(row);
  } else if (location.hash) {
    document.getElementById(location.hash.slice(1))?.querySelector("input[data-search]")?.focus();
  }
}

// --- type-ahead: an input with `data-search` (an address that answers [{id, name, detail}]) and a hidden field beside it
function searching(input) {
  const hidden = input.form.elements[input.dataset.into];
  const list = document.createElement("ul");
  list.className = "choices";
  list.id = input.id + "-choices";
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-label", "Found");
  list.hidden = true;
  input.after(list);
  Object.entries({
    role: "combobox", "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": list.id, autocomplete: "off",
  }).forEach(([name, value]) => input.setAttribute(name, value));
  let asked = 0;
  let timer = 0;

  function show(found) {
    list.replaceChildren();
    found.forEach((each, place) => {
      const item = document.createElement("li");
      item.id = list.id + "-" + place;
      item.setAttribute("role", "option");
      item.setAttribute("aria-selected", "false");
      item.dataset.id = each.id;
      item.dataset.name = each.name;
      const name = document.createElement("strong");
      name.textContent = each.name;
      const detail = document.createElement("span");
      detail.textContent = each.detail;
      item.append(name, detail);
      item.addEventListener("mousedown", (event) => {
        event.preventDefault();
        take(item);
      });
      list.append(item);
    });
    if (!found.length) {
      const none = document.createElement("li");
      none.className = "none";
      none.textContent = "Nothing is found";
      list.append(none);
    }
    open(true);
  }

  function open(isOpen) {
    // An answer that comes after the list was closed opens it no more.
    if (!isOpen) asked += 1;
    list.hidden = !isOpen;
    input.setAttribute("aria-expanded", String(isOpen));
    if (!isOpen) input.removeAttribute("aria-activedescendant");
  }

  function take(item) {
    hidden.value = item.dataset.id;
    input.value = item.dataset.name;
    open(false);
    const button = input.form.querySelector("button");
    if (button) button.focus();
  }

  input.addEventListener("input", () => {
    hidden.value = "";
    clearTimeout(timer);
    const text = input.value.trim();
    if (text.length < 2) {
      open(false);
      return;
    }
    timer = setTimeout(async () => {
      const mine = ++asked;
      const answer = await fetch(input.dataset.search + encodeURIComponent(text));
      if (mine === asked && answer.ok) show(await answer.json());
    }, 120);
  });
  input.addEventListener("blur", () => open(false));
  input.addEventListener("keydown", (event) => {
    const items = [...list.querySelectorAll("[role=option]")];
    const place = items.findIndex((each) => each.getAttribute("aria-selected") === "true");
    if (event.key === "Escape") {
      open(false);
    } else if ((event.key === "ArrowDown" || event.key === "ArrowUp") && items.length) {
      const next = (place + (event.key === "ArrowDown" ? 1 : items.length - (place < 0 ? 0 : 1))) % items.length;
      items.forEach((each, index) => each.setAttribute("aria-selected", String(index === next)));
      input.setAttribute("aria-activedescendant", items[next].id);
      items[next].scrollIntoView({ block: "nearest" });
      open(true);
      event.preventDefault();
    } else if (event.key === "Enter" && !list.hidden && place >= 0) {
      take(items[place]);
      event.preventDefault();
    }
  });
}

document.querySelectorAll("input[data-search]").forEach(searching);

// A form is sent once, however often its button is pressed.
addEventListener("submit", (event) => {
  const form = event.target;
  if (form.classList.contains("sent")) event.preventDefault();
  else if (form.method === "post") keepPlace(rowsAfter(form));
  form.classList.add("sent");
  form.setAttribute("aria-busy", "true");
});

addEventListener("pageshow", () => {
  document.querySelectorAll("form.sent").forEach((form) => form.classList.remove("sent"));
  backToPlace();
});

if (activity) setTimeout(look, wasBusy ? 1000 : 5000);
