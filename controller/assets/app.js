// Brings the rendered pages to life: live lines, the filter, keys, local time. Shows only what the controller rendered.
"use strict";

(() => {
  const one = (selector, within = document) => within.querySelector(selector);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];

  // A rendered fragment as nodes; the controller has escaped everything in it.
  const nodes = (html) => {
    const template = document.createElement("template");
    template.innerHTML = html;
    return template.content;
  };

  const debounce = (work, ms) => {
    let timer = 0;
    return (...given) => {
      clearTimeout(timer);
      timer = setTimeout(() => work(...given), ms);
    };
  };

  // At most one run per `ms`, and always one after the last call.
  const throttle = (work, ms) => {
    let last = -ms;
    let timer = 0;
    return () => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        last = performance.now();
        work();
      }, Math.max(0, last + ms - performance.now()));
    };
  };

  const remember = (key, value) => {
    try {
      if (value === undefined) return localStorage.getItem(key);
      localStorage.setItem(key, value);
    } catch {
      // A browser that keeps nothing shows the default.
    }
    return null;
  };

  /* Times: rendered in UTC, shown in local time by choice. */
  const zone = one("#zone");
  let isLocal = remember("tidemark-zone") === "local";

  const localWords = (ms, form) => {
    const at = new Date(ms);
    const now = new Date();
    const clock = { hour: "2-digit", minute: "2-digit", hour12: false };
    if (form === "moment") clock.second = "2-digit";
    const time = at.toLocaleTimeString(undefined, clock);
    if (at.toDateString() === now.toDateString()) return time;
    if (form === "instant" && Math.abs(at - now) < 6 * 86400e3) {
      return `${at.toLocaleDateString(undefined, { weekday: "short" })} ${time}`;
    }
    return `${at.toLocaleDateString(undefined, { day: "numeric", month: "short" })} ${time}`;
  };

  const showTimes = (within) => {
    for (const time of all("time[data-ms]", within)) {
      time.dataset.utc ??= time.textContent;
      const ms = Number(time.dataset.ms);
      time.dateTime = new Date(ms).toISOString();
      time.title = isLocal ? `${time.dataset.utc} UTC` : localWords(ms, time.dataset.form) + " local";
      time.textContent = isLocal ? localWords(ms, time.dataset.form) : time.dataset.utc;
    }
  };

  const showZone = () => {
    if (!zone) return;
    zone.hidden = false;
    zone.textContent = isLocal ? "Local time" : "UTC";
    showTimes(document);
    document.dispatchEvent(new CustomEvent("tidemark:zone", { detail: { isLocal } }));
  };

  const toggleZone = () => {
    isLocal = !isLocal;
    remember("tidemark-zone", isLocal ? "local" : "utc");
    showZone();
  };
  zone?.addEventListener("click", toggleZone);
  document.addEventListener("tidemark:shown", () => showTimes(document));

  /* The fleet's lines. */
  const rows = one("#rows");
  const count = one("#count");
  const text = one("#text");
  const state = one("#state");

  const filterQuery = () => {
    const query = new URLSearchParams();
    if (text?.value) query.set("text", text.value);
    if (state?.value) query.set("state", state.value);
    return query.toString();
  };

  const order = (left, right) =>
    left.dataset.rank - right.dataset.rank || left.dataset.name.localeCompare(right.dataset.name);

  // Lines move only while nobody points at them.
  const sortRows = throttle(() => {
    if (!rows || rows.matches(":hover, :focus-within")) return;
    const lines = all("tr.row", rows);
    const sorted = [...lines].sort(order);
    if (sorted.every((line, index) => line === lines[index])) return;
    const held = rows.querySelectorAll("tr.nothing");
    rows.replaceChildren(one("tr.window", rows), ...sorted, ...held);
  }, 2000);

  const putRow = (html) => {
    const fresh = nodes(html).firstElementChild;
    if (!fresh) return;
    showTimes(fresh);
    const old = document.getElementById(fresh.id);
    if (old) {
      // A link in it that has the focus keeps it.
      const hadFocus = old.contains(document.activeElement);
      old.replaceWith(fresh);
      if (hadFocus) one("a", fresh)?.focus({ preventScroll: true });
    } else if (rows && !all("tr.nothing", rows).some((line) => !line.hidden)) {
      one("#empty")?.remove();
      for (const hidden of [one("#filter"), one(".fleet")]) if (hidden) hidden.hidden = false;
      fresh.classList.add("fresh");
      rows.append(fresh);
      const { dataset } = one("tr.window", rows);
      dataset.found = all("tr.row", rows).length;
      dataset.total = Math.max(dataset.total, dataset.found);
      pad();
    }
    sortRows();
  };

  /* Of a large fleet the page holds a window of lines, which follows the scroll; padding stands for the others. */
  const EDGE = 24;
  let isReading = false;

  const shownWindow = () => {
    const { from, found, total } = one("tr.window", rows).dataset;
    return { from: Number(from), found: Number(found), total: Number(total), length: all("tr.row", rows).length };
  };

  const lineHeight = () => one("tr.row", rows)?.offsetHeight || 36;

  const pad = () => {
    const seen = shownWindow();
    const height = lineHeight();
    for (const beyond of all("tr.beyond", rows)) beyond.hidden = true;
    rows.style.paddingTop = `${seen.from * height}px`;
    rows.style.paddingBottom = `${Math.max(0, seen.found - seen.from - seen.length) * height}px`;
    if (count) count.textContent = `${seen.found} of ${Math.max(seen.total, seen.found)}`;
  };

  // From which line on the window should begin; null while it holds what is seen.
  const wantedFrom = () => {
    const { from, found, length } = shownWindow();
    if (length >= found) return null;
    const height = lineHeight();
    const first = Math.floor(-rows.getBoundingClientRect().top / height);
    const last = first + Math.ceil(innerHeight / height);
    const isHeld = (first - EDGE >= from || from === 0) && (last + EDGE <= from + length || from + length >= found);
    if (isHeld && last > from && first < from + length) return null;
    const middle = Math.round((first + last - length) / 2);
    return Math.max(0, Math.min(middle, found - length));
  };

  // Lines under the pointer or the focus are put in their places; the others may move.
  const putRows = (fresh) => {
    const at = document.activeElement?.closest("#rows tr.row")?.id;
    rows.replaceChildren(fresh);
    showTimes(rows);
    pad();
    if (at) one("a", document.getElementById(at) ?? document.createElement("tr"))?.focus({ preventScroll: true });
  };

  const readRows = async (wanted) => {
    if (!rows) return;
    isReading = true;
    const query = filterQuery();
    const from = wanted ?? shownWindow().from;
    const answer = await fetch(`/fleet/rows?${query}&from=${from}`, { headers: { accept: "text/html" } }).catch(() => null);
    isReading = false;
    if (answer?.status === 401) return location.reload();
    if (!answer?.ok || query !== filterQuery()) return;
    putRows(nodes(await answer.text()));
    followScroll();
  };

  const followScroll = () => {
    if (!rows || isReading) return;
    const from = wantedFrom();
    if (from !== null && from !== shownWindow().from) readRows(from);
  };
  if (rows) {
    pad();
    window.addEventListener("scroll", () => requestAnimationFrame(followScroll), { passive: true });
    window.addEventListener("resize", debounce(pad, 200));
  }

  const refreshRows = () => {
    if (!isReading && !rows.matches(":hover, :focus-within")) readRows();
  };

  const applyFilter = debounce(() => {
    const query = filterQuery();
    history.replaceState(null, "", query ? `/?${query}` : "/");
    readRows(0);
    connect();
  }, 150);
  text?.addEventListener("input", applyFilter);
  state?.addEventListener("change", applyFilter);
  one("#filter")?.addEventListener("submit", (event) => {
    event.preventDefault();
    applyFilter();
  });
  for (const select of all("select[data-submit]")) {
    select.addEventListener("change", () => select.form.submit());
  }

  /* A host's newest sample. */
  const now = one("#now");
  const readNow = throttle(async () => {
    const query = new URLSearchParams({ space: now.dataset.space });
    const answer = await fetch(`/hosts/${now.dataset.host}/now?${query}`);
    if (!answer.ok) return;
    const parts = nodes(await answer.text());
    showTimes(parts);
    // What somebody is marking to copy stays until they are done.
    const marking = document.getSelection();
    for (const id of ["verdict", "now"]) {
      const old = document.getElementById(id);
      const isMarked = !marking.isCollapsed && old.contains(marking.anchorNode);
      const fresh = parts.getElementById(id);
      if (fresh && !isMarked) old.replaceChildren(...fresh.childNodes);
    }
    document.dispatchEvent(new CustomEvent("tidemark:now"));
  }, 1000);

  /* Parts of a page that are read again as they stand: lists that change seldom. What is typed stays. */
  const readParts = throttle(async () => {
    const parts = all("[data-refresh]");
    if (parts.length === 0) return;
    const answer = await fetch(location.href, { headers: { accept: "text/html" } }).catch(() => null);
    if (answer?.status === 401) return location.reload();
    if (!answer?.ok) return;
    const fresh = nodes(await answer.text());
    showTimes(fresh);
    const marking = document.getSelection();
    for (const part of parts) {
      const next = fresh.getElementById(part.id);
      const isMarked = !marking.isCollapsed && part.contains(marking.anchorNode);
      if (!next || isMarked || next.outerHTML === part.outerHTML) continue;
      // A link or button in it that has the focus keeps it.
      const focused = part.contains(document.activeElement) ? document.activeElement : null;
      part.replaceWith(next);
      const is = (one) => one.href === focused.href && one.value === focused.value;
      if (focused) all("a, button", next).find(is)?.focus({ preventScroll: true });
    }
  }, 1000);

  /* Live. */
  const live = one("#live");
  const events = one("#events");
  const EVENTS_MAX = 200;
  let source = null;
  let wasLost = false;

  const showLive = (is, words) => {
    if (!live) return;
    live.dataset.is = is;
    live.lastElementChild.textContent = words;
  };

  const readAll = () => {
    readRows();
    if (now) readNow();
    readParts();
  };

  const putEvent = (html) => {
    if (!events) return;
    const fresh = nodes(html);
    showTimes(fresh);
    fresh.firstElementChild?.classList.add("fresh");
    events.prepend(fresh);
    while (events.children.length > EVENTS_MAX) events.lastElementChild.remove();
    document.dispatchEvent(new CustomEvent("tidemark:event"));
  };

  const connect = () => {
    const address = document.body.dataset.live;
    source?.close();
    if (!address || !window.EventSource) return;
    const query = rows ? filterQuery() : "";
    source = new EventSource(query ? `${address}?${query}` : address);
    source.onopen = () => {
      showLive("live", "live");
      if (wasLost) readAll();
      wasLost = false;
    };
    source.onerror = () => {
      wasLost = true;
      showLive("reconnecting", "reconnecting");
      if (source.readyState === EventSource.CLOSED) retry();
    };
    source.addEventListener("row", ({ data }) => (now ? readNow() : putRow(data)));
    source.addEventListener("rows", refreshRows);
    source.addEventListener("gone", ({ data }) => document.getElementById(`h-${data}`)?.remove());
    source.addEventListener("tiles", ({ data }) => {
      const tiles = one("#tiles");
      if (tiles) tiles.replaceChildren(nodes(data));
    });
    source.addEventListener("event", ({ data }) => putEvent(data));
    source.addEventListener("incidents", readParts);
    source.addEventListener("resync", readAll);
  };

  // The browser gives up on answers other than 200: signed out, or a controller that is just starting.
  const retry = debounce(async () => {
    const answer = await fetch("/api/v1/status").catch(() => null);
    if (answer?.status === 401) return showLive("signed-out", "signed out");
    connect();
  }, 2000);

  /* Keys. */
  const help = one("#help");
  one("#help-open")?.addEventListener("click", () => help.showModal());
  let prefix = "";

  const step = (by) => {
    const links = all(".fleet .c-host a");
    const at = links.indexOf(document.activeElement);
    links[Math.min(links.length - 1, Math.max(0, at + by))]?.focus();
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const isTyping = event.target.matches("input, select, textarea");
    if (isTyping) {
      if (event.key !== "Escape" || event.target !== text) return;
      text.value = "";
      text.blur();
      return applyFilter();
    }
    // Links that say which key presses them.
    const pressed = one(`a[data-key="${CSS.escape(event.key)}"]:not([aria-disabled])`);
    if (pressed && !prefix) return pressed.click();
    const keys = prefix + event.key;
    prefix = event.key === "g" ? "g" : "";
    // Only where the navigation leads: other pages refuse whoever looks.
    const to = (path) => () => one(`nav a[href="${path}"]`)?.click();
    const actions = {
      "/": () => (text ?? one("[data-find]"))?.focus(),
      "?": () => help?.showModal(),
      u: toggleZone,
      j: () => step(1),
      k: () => step(-1),
      gh: to("/"),
      gi: to("/incidents"),
      gm: to("/maintenance"),
      gu: to("/upgrades"),
      gp: to("/policies"),
      gk: to("/keys"),
      gs: to("/settings"),
      gn: to("/notifications"),
      gx: to("/history"),
      ge: to("/events"),
      ga: to("/audit-log"),
    };
    const action = actions[keys];
    if (!action) return;
    event.preventDefault();
    prefix = "";
    action();
  });

  /* Lines to paste elsewhere. Where the browser lets no page copy (plain http), they are marked for its own key. */
  const copy = async (button) => {
    const lines = document.getElementById(button.dataset.copy);
    const done = await navigator.clipboard?.writeText(lines.textContent).then(() => true, () => false);
    if (!done) {
      document.getSelection().selectAllChildren(lines);
      lines.focus();
    }
    button.textContent = done ? "Copied" : "Marked: press Ctrl+C";
  };
  for (const button of all("button[data-copy]")) {
    button.hidden = false;
    button.addEventListener("click", () => copy(button));
  }

  // What has to be scrolled sideways can be reached by the keyboard.
  const reachScrolled = () => {
    for (const part of all(".part, .figures-of")) {
      if (part.scrollWidth > part.clientWidth) part.tabIndex = 0;
      else part.removeAttribute("tabindex");
    }
  };
  if (one("#main")) new ResizeObserver(reachScrolled).observe(one("#main"));

  if (one("#help-open")) one("#help-open").hidden = false;
  showZone();
  connect();
  window.addEventListener("pagehide", () => source?.close());
  window.addEventListener("pageshow", (event) => event.persisted && connect());
})();
