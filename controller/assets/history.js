// The history page: draws what the controller answered, and asks again when something is chosen. The address follows.
"use strict";

(() => {
  const plot = window.tidemarkPlot;
  if (!document.getElementById("ask") || !window.uPlot) return;
  const one = (selector, within = document) => within.querySelector(selector);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const COLORS = 8;
  const DASHES = [[], [8, 4], [2, 3]];
  const TYPING_MS = 350;
  // What the page does without being told, and so need not stand in the address.
  const USUAL = { agg: "max", group_by: "host", top: "8" };

  let charts = [];
  let asking = null;

  /* Charts. */
  const style = (index) => ({ stroke: plot.color(`--k${index % COLORS}`), dash: DASHES[Math.floor(index / COLORS) % DASHES.length] });

  const table = ({ series, step, from }) => {
    const start = series[0]?.start ?? from;
    const length = Math.max(...series.map((line) => line.values.length));
    const xs = Array.from({ length }, (_, index) => (start + index * step) / 1000);
    const whole = (values) => xs.map((_, index) => values?.[index] ?? null);
    return [xs, ...series.map((line) => whole(line.values)), ...series.filter((line) => line.before).map((line) => whole(line.before))];
  };

  const lines = ({ series }) => {
    const alone = (values, index) => {
      const known = (at) => values[at] !== null && values[at] !== undefined;
      return known(index) && !known(index - 1) && !known(index + 1);
    };
    const line = (index, more) => ({ ...style(index), width: 1.75, points: { show: false }, ...more });
    // A value between two gaps is a dot, or nobody would see it.
    const dots = (u, at) => u.data[at].flatMap((_, index) => (alone(u.data[at], index) ? [index] : []));
    const now = series.map((_, index) => line(index, { points: { show: true, size: 4, filter: dots } }));
    const before = series.flatMap((one, index) => (one.before ? [line(index, { dash: [2, 4], width: 1.25, alpha: 0.7 })] : []));
    return [{}, ...now, ...before];
  };

  const range = (_, least, most) => {
    if (least === null) return [0, 1];
    if (least >= 0 && least <= most * 0.7) return [0, Math.max(most, 1e-6) * 1.06];
    return uPlot.rangeNum(least, most, 0.1, true);
  };

  const showCursor = (panel, u, points) => {
    const at = u.cursor.idx;
    const cells = all("td.c-cursor", panel);
    for (const [index, cell] of cells.entries()) {
      const value = at === null || at === undefined ? undefined : u.data[index + 1]?.[at];
      cell.textContent = value === undefined ? "" : value === null ? "–" : plot.figure(value * points.scale) + points.suffix;
    }
    const readout = one("#readout");
    if (readout) readout.textContent = at === null || at === undefined ? "" : plot.instant(u.data[0][at] * 1000);
  };

  const draw = (box) => {
    const panel = box.closest(".plot");
    const points = JSON.parse(box.dataset.points);
    const data = table(points);
    const now = Math.min(Date.now(), points.to) / 1000;
    const blanks = plot.blanks(data[0], data.slice(1, points.series.length + 1), now);
    box.replaceChildren();
    const chart = new uPlot({
      width: box.clientWidth,
      height: charts.isMany ? 184 : 264,
      legend: { show: false },
      tzDate: plot.tzDate,
      scales: { x: { range: () => [points.from / 1000, points.to / 1000] }, y: { range } },
      focus: { alpha: 0.25 },
      cursor: { drag: { x: true, y: false, setScale: false }, focus: { prox: 24 }, points: { size: 6 }, sync: { key: "history" } },
      axes: plot.axes((value) => plot.figure(value * points.scale) + points.suffix),
      series: lines(points),
      hooks: {
        drawClear: [(u) => plot.drawSpans(u, blanks, "hatched")],
        setCursor: [(u) => showCursor(panel, u, points)],
        setSelect: [zoom],
      },
    }, data, box);
    for (const [index, row] of all("tr.line", panel).entries()) {
      const focus = (is) => () => chart.setSeries(is ? index + 1 : null, { focus: true });
      row.addEventListener("mouseenter", focus(true));
      row.addEventListener("mouseleave", focus(false));
      row.addEventListener("focusin", focus(true));
      row.addEventListener("focusout", focus(false));
    }
    return chart;
  };

  const resized = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      const chart = charts.find((one) => target.contains(one.root));
      if (chart && chart.width !== target.clientWidth) chart.setSize({ width: target.clientWidth, height: chart.height });
    }
  });

  const drawAll = () => {
    resized.disconnect();
    for (const chart of charts) chart.destroy();
    const boxes = all(".canvas");
    charts = [];
    charts.isMany = boxes.length > 1;
    for (const box of boxes) {
      charts.push(draw(box));
      resized.observe(box);
    }
  };

  /* Asking. */
  const address = () => {
    const query = new URLSearchParams();
    for (const [name, value] of new FormData(one("#ask"))) {
      if (!value || USUAL[name] === value || query.getAll(name).includes(value)) continue;
      query.append(name, value);
    }
    return `/history?${query}`;
  };

  // What is being typed keeps its focus and its caret.
  const replaceForm = (fresh, asked) => {
    const form = one("#ask");
    if (address() !== asked) return;
    const at = [...form.elements].indexOf(document.activeElement);
    const caret = document.activeElement?.selectionStart;
    const isOpen = one("details", form)?.open;
    form.replaceWith(fresh);
    const details = one("details", fresh);
    if (details && isOpen) details.open = true;
    const focused = at >= 0 ? fresh.elements[at] : null;
    focused?.focus({ preventScroll: true });
    if (caret !== null && caret !== undefined && focused?.matches("input")) focused.setSelectionRange(caret, caret);
  };

  const say = (words, url) => {
    const answer = one("#answer");
    one("#failed")?.remove();
    const alarm = document.createElement("p");
    alarm.id = "failed";
    alarm.className = "alarm";
    alarm.role = "alert";
    const again = document.createElement("button");
    again.textContent = "Try again";
    again.addEventListener("click", () => go(url));
    alarm.append(words, " ", again);
    answer.prepend(alarm);
  };

  const show = (html, asked) => {
    const page = new DOMParser().parseFromString(html, "text/html");
    const answer = one("#answer", page);
    if (!answer) return false;
    document.title = page.title;
    one("#answer").replaceWith(answer);
    replaceForm(one("#ask", page), asked);
    document.dispatchEvent(new CustomEvent("tidemark:shown"));
    drawAll();
    return true;
  };

  const go = async (url, state) => {
    asking?.abort();
    asking = new AbortController();
    const { signal } = asking;
    const asked = address();
    one("#answer").setAttribute("aria-busy", "true");
    try {
      const answer = await fetch(url, { signal, headers: { accept: "text/html" } });
      if (answer.status === 401) return location.assign(url);
      const html = await answer.text();
      if (url !== location.pathname + location.search) history.pushState(state ?? null, "", url);
      if (!show(html, asked)) say(`The controller answered with status ${answer.status}; what is shown was read before.`, url);
    } catch (error) {
      if (signal.aborted) return;
      say("The controller does not answer; what is shown was read before.", url);
    } finally {
      if (!signal.aborted) one("#answer").removeAttribute("aria-busy");
    }
  };

  const zoom = (u) => {
    const span = plot.selected(u);
    // All charts of the page hear of one drag.
    if (!span || u !== charts.find((chart) => chart.select.width > 0)) return;
    const query = new URLSearchParams(address().split("?")[1]);
    query.delete("range");
    query.set("from", span[0]);
    query.set("to", span[1]);
    go(`/history?${query}`, { isZoom: true });
  };

  let typing = 0;
  document.addEventListener("change", ({ target }) => target.form?.id === "ask" && go(address()));
  document.addEventListener("input", ({ target }) => {
    clearTimeout(typing);
    if (target.form?.id === "ask" && target.matches("input")) typing = setTimeout(() => go(address()), TYPING_MS);
  });
  document.addEventListener("submit", (event) => {
    if (event.target.id !== "ask") return;
    event.preventDefault();
    go(address());
  });
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[href^='/history']");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || link.closest("nav[aria-label=Main]")) return;
    event.preventDefault();
    go(link.getAttribute("href"));
  });
  document.addEventListener("dblclick", (event) => {
    if (event.target.closest(".canvas") && history.state?.isZoom) history.back();
  });
  window.addEventListener("popstate", () => go(location.pathname + location.search));
  document.addEventListener("tidemark:zone", drawAll);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  drawAll();
})();
