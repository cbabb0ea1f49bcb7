// The chart of a host: capacity as a line, strong and TIME_WAIT stacked under it, the forecast as a fan.
"use strict";

(() => {
  const box = document.getElementById("chart");
  if (!box || !window.uPlot) return;
  const plot = window.tidemarkPlot;
  const readout = document.getElementById("readout");
  const scaleButton = document.getElementById("scale");
  const [protocol, ...rest] = box.dataset.space.split("/");
  const namespace = rest.join("/");
  const STEPS_S = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400];
  const HEIGHT = 264;
  const REFRESH_MS = 2000;

  let chart = null;
  let fixed = null;
  let wholeRange = null;
  let busy = false;
  let again = false;

  // The minute of the past that the page shows; null while it shows the present.
  const rewound = () => {
    const at = document.getElementById("then")?.dataset.at;
    return at ? Number(at) : null;
  };

  const asked = new URLSearchParams(location.search);
  if (asked.has("from") && asked.has("to")) fixed = [Number(asked.get("from")), Number(asked.get("to"))];
  else if (rewound() !== null) {
    const to = Math.min(rewound() + Number(box.dataset.range) / 4, Date.now());
    fixed = [to - Number(box.dataset.range), to];
  }

  const { color, faint, count: number } = plot;

  const forecast = () => {
    const { dataset } = document.getElementById("forecast") ?? { dataset: {} };
    const ms = (text) => (text ? Number(text) : null);
    return {
      eta: ms(dataset.eta),
      lo: ms(dataset.lo),
      hi: ms(dataset.hi),
      sampled: ms(dataset.sampled),
      inUse: Number(dataset.inUse || 0),
      strong: Number(dataset.strong || 0),
      capacity: Number(dataset.capacity || 0),
      window: dataset.windowFrom ? [Number(dataset.windowFrom), Number(dataset.windowTo)] : null,
    };
  };

  const stepOf = (range) => {
    const wanted = Math.max(range / 1000 / 240, (2 * Number(box.dataset.interval)) / 1000, 1);
    return (STEPS_S.find((step) => step >= wanted) ?? 86400) * 1000;
  };

  const series = async (metric, agg, from, to, step) => {
    const query = new URLSearchParams({
      host: box.dataset.host, metric, agg, protocol, namespace,
      from_ms: from, to_ms: to, step_ms: step, group_by: "none",
    });
    const answer = await fetch(`/api/v1/history?${query}`);
    const view = await answer.json();
    if (!answer.ok) throw new Error(view.title);
    return new Map(view.series[0]?.points ?? []);
  };

  // Points of the fan at and after the newest sample: each line runs straight to capacity and stays there.
  const fan = (said, end) => {
    const start = said.sampled;
    if (!said.eta || !start || said.eta <= start) return null;
    const line = (at) => (x) =>
      at === null ? said.inUse : Math.min(said.capacity, said.inUse + ((said.capacity - said.inUse) * (x - start)) / Math.max(1, at - start));
    const xs = [start, said.lo, said.eta, said.hi, end].filter((x) => x !== null && x >= start && x <= end);
    return { xs: [...new Set(xs)].sort((a, b) => a - b), lo: line(said.lo ?? said.eta), mid: line(said.eta), hi: line(said.hi) };
  };

  const table = (points, said, from, end) => {
    const future = fixed ? null : fan(said, end);
    const past = [...points.strong.keys()].filter((x) => x >= from && x <= end);
    const xs = [...new Set([...past, ...(future?.xs ?? []), end])].sort((a, b) => a - b);
    const at = (map) => xs.map((x) => map.get(x) ?? null);
    const ahead = (line) => xs.map((x) => (future && x >= future.xs[0] ? line(x) : null));
    const strong = at(points.strong);
    const wait = at(points.wait);
    let last = null;
    const capacity = xs.map((x) => (last = points.capacity.get(x) ?? (x >= (said.sampled ?? 0) ? said.capacity || last : null)));
    return [
      xs.map((x) => x / 1000),
      strong.map((value, index) => (value === null ? null : value + (wait[index] ?? 0))),
      strong,
      capacity,
      future ? ahead(future.lo) : xs.map(() => null),
      future ? ahead(future.hi) : xs.map(() => null),
      future ? ahead(future.mid) : xs.map(() => null),
    ];
  };

  const read = ([xs, inUse, strong, capacity, lo, , mid], index) => {
    if (index === null || index === undefined) return "";
    const words = plot.instant(xs[index] * 1000);
    if (inUse[index] !== null) {
      const of = capacity[index] === null ? "" : ` of ${number(capacity[index])}`;
      return `${words}   ${number(inUse[index])}${of}: strong ${number(strong[index])}, TIME_WAIT ${number(inUse[index] - strong[index])}`;
    }
    if (mid[index] !== null && lo[index] !== null) return `${words}   forecast ${number(mid[index])}, up to ${number(lo[index])}`;
    return `${words}   no data`;
  };

  /* What happened, as flags at the top that can be read. */
  const FLAGS = {
    host_rebooted: "R", configuration_changed: "C", action_changed: "A", policy_fired: "A", action_escalated: "A",
    incident_opened: "!", incident_escalated: "!", host_event: "E", host_disconnected: "–", samples_dropped: "–", host_quarantined: "–",
  };
  const FLAG_PX = 14;
  const FLAGS_MAX = 500;
  let happened = [];

  const readHappened = async (from) => {
    const query = new URLSearchParams({ host: box.dataset.host, since_ms: Math.floor(from), limit: FLAGS_MAX });
    const answer = await fetch(`/api/v1/events?${query}`);
    if (!answer.ok) return;
    const { items } = await answer.json();
    happened = items.filter(({ kind }) => FLAGS[kind]).sort((one, other) => one.at_ms - other.at_ms);
  };

  // Those that would lie upon each other share a flag; the most urgent names it.
  const flags = (u) => {
    const found = [];
    for (const event of happened) {
      const at = event.at_ms / 1000;
      if (at < u.scales.x.min || at > u.scales.x.max) continue;
      const x = u.valToPos(at, "x");
      const last = found.at(-1);
      if (last && x - last.x < FLAG_PX) last.events.push(event);
      else found.push({ x, events: [event] });
    }
    return found;
  };

  const ORDER = "R!CAE–";
  const letterOf = ({ events }) => events.map(({ kind }) => FLAGS[kind]).sort((one, other) => ORDER.indexOf(one) - ORDER.indexOf(other))[0];

  const drawFlags = (u) => {
    const { ctx, bbox } = u;
    const ratio = devicePixelRatio;
    ctx.save();
    ctx.setLineDash([]);
    ctx.font = `bold ${10 * ratio}px system-ui, sans-serif`;
    ctx.textAlign = "center";
    ctx.textBaseline = "middle";
    for (const flag of flags(u)) {
      const x = bbox.left + flag.x * ratio;
      ctx.strokeStyle = ctx.fillStyle = color("--ink-2");
      ctx.lineWidth = ratio;
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + 24 * ratio);
      ctx.stroke();
      ctx.fillRect(x - 6 * ratio, bbox.top - 12 * ratio, 12 * ratio, 13 * ratio);
      ctx.fillStyle = color("--panel");
      ctx.fillText(letterOf(flag), x, bbox.top - 5 * ratio);
    }
    ctx.restore();
  };

  const readFlag = (u) => {
    const near = flags(u).filter(({ x }) => Math.abs(x - u.cursor.left) < FLAG_PX / 2)[0];
    if (!near) return "";
    const { at_ms: at, kind, text } = near.events.at(-1);
    const more = near.events.length > 1 ? `, and ${near.events.length - 1} more` : "";
    return `${plot.instant(at)}   ${kind.replaceAll("_", " ")}: ${text}${more}`;
  };

  const drawAt = (u) => {
    const at = rewound();
    if (at === null) return;
    const { ctx, bbox } = u;
    const x = u.valToPos(at / 1000, "x", true);
    ctx.save();
    ctx.setLineDash([]);
    ctx.strokeStyle = color("--accent");
    ctx.lineWidth = 2 * devicePixelRatio;
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    ctx.restore();
  };

  // From zero to capacity where that says something, else to what there is.
  const ceiling = (data, said) => {
    const most = Math.max(1, ...data[1].filter((value) => value !== null), said.inUse);
    const capacity = Math.max(1, said.capacity, ...data[3].filter((value) => value !== null));
    const whole = wholeRange ?? (most > capacity * 0.1 || said.eta !== null);
    scaleButton.hidden = capacity < most * 1.5;
    scaleButton.textContent = whole ? "Zoom to ports in use" : "Up to capacity";
    scaleButton.onclick = () => {
      wholeRange = !whole;
      refresh();
    };
    return whole ? Math.max(capacity, most) * 1.04 : most * 1.25;
  };

  const options = (data, from, end, top) => {
    const { window: next } = forecast();
    const line = (stroke, more) => ({ stroke, width: 1.5, points: { show: false }, ...more });
    return {
      width: box.clientWidth,
      height: HEIGHT,
      legend: { show: false },
      tzDate: plot.tzDate,
      scales: { x: { range: () => [from / 1000, end / 1000] }, y: { range: () => [0, top] } },
      cursor: { drag: { x: true, y: false, setScale: false }, points: { show: false } },
      axes: plot.axes(number, plot.WHOLE_STEPS),
      series: [
        {},
        line(color("--wait"), { fill: color("--wait"), width: 0 }),
        line(color("--strong"), { fill: color("--strong"), width: 0 }),
        line(color("--capacity"), { spanGaps: true }),
        line("transparent", { spanGaps: true }),
        line("transparent", { spanGaps: true }),
        line(color("--fan"), { dash: [6, 4], spanGaps: true }),
      ],
      bands: [{ series: [4, 5], fill: faint("--fan", 22) }],
      hooks: {
        setCursor: [(u) => (readout.textContent = readFlag(u) || read(u.data, u.cursor.idx))],
        setSelect: [(u) => {
          const span = plot.selected(u);
          if (span) zoom(span);
        }],
        drawClear: [(u) => next && plot.drawSpans(u, [next.map((ms) => ms / 1000)], faint("--accent", 10)), (u) => plot.drawSpans(u, plot.blanks(data[0], [data[1], data[6]], Math.min(Date.now(), end) / 1000), "hatched")],
        draw: [drawFlags, drawAt],
      },
    };
  };

  const zoom = (range) => {
    fixed = range;
    const query = new URLSearchParams(location.search);
    for (const [index, name] of ["from", "to"].entries()) {
      if (range) query.set(name, range[index]);
      else query.delete(name);
    }
    history.replaceState(null, "", `?${query}`);
    refresh();
  };

  const show = (points, from, end) => {
    const said = forecast();
    const data = table(points, said, from, end);
    const top = ceiling(data, said);
    const index = chart?.cursor.idx;
    const left = chart?.cursor.left;
    chart?.destroy();
    box.replaceChildren();
    chart = new uPlot(options(data, from, end, top), data, box);
    if (index !== null && left >= 0) chart.setCursor({ left, top: 10 });
  };

  const refresh = async () => {
    if (busy) {
      again = true;
      return;
    }
    busy = true;
    try {
      const said = forecast();
      const range = fixed ? fixed[1] - fixed[0] : Number(box.dataset.range);
      const to = fixed ? fixed[1] : Math.max(Date.now(), said.sampled ?? 0);
      const from = to - range;
      const step = stepOf(range);
      const [capacity, strong, wait] = await Promise.all([
        series("capacity", "last", from, to, step),
        series("strong", "max", from, to, step),
        series("time_wait", "max", from, to, step),
        readHappened(from),
      ]);
      // A step stands at its start; the newest sample stands where it was taken.
      if (!fixed && said.sampled > from && said.sampled <= to) {
        strong.set(said.sampled, said.strong);
        wait.set(said.sampled, said.inUse - said.strong);
        capacity.set(said.sampled, said.capacity);
        for (const points of [strong, wait, capacity]) {
          for (const [at, value] of points) if (value === null && at > said.sampled - step && at < said.sampled) points.delete(at);
        }
      }
      const until = Math.max(said.eta ? (said.hi ?? said.eta) : 0, said.window && said.window[0] - to < range ? said.window[1] : 0);
      const ahead = !fixed && until > to ? Math.min(Math.max(until - to, range * 0.1) * 1.1, range * 1.2) : range * 0.01;
      show({ capacity, strong, wait }, from, to + ahead);
    } catch (error) {
      if (!chart) box.textContent = `The chart cannot be drawn: ${error.message}`;
    }
    busy = false;
    if (again) {
      again = false;
      refresh();
    }
  };

  let due = 0;
  document.addEventListener("tidemark:now", () => {
    const step = stepOf(Number(box.dataset.range));
    if (fixed || performance.now() < due) return;
    due = performance.now() + Math.max(REFRESH_MS, step / 2);
    refresh();
  });
  document.addEventListener("tidemark:zone", refresh);
  document.addEventListener("tidemark:event", refresh);
  document.addEventListener("tidemark:rewound", () => chart?.redraw());
  // A click rewinds to that minute, unless it is the end of a drag or the first half of a double click.
  let pressedAt = 0;
  let click = 0;
  box.addEventListener("mousedown", ({ clientX }) => (pressedAt = clientX));
  box.addEventListener("click", ({ clientX, detail }) => {
    clearTimeout(click);
    if (!chart || detail !== 1 || Math.abs(clientX - pressedAt) > 3 || chart.cursor.left < 0) return;
    const at = Math.round(chart.posToVal(chart.cursor.left, "x")) * 1000;
    if (at >= Date.now()) return;
    click = setTimeout(() => document.dispatchEvent(new CustomEvent("tidemark:rewind", { detail: at })), 300);
  });
  box.addEventListener("dblclick", () => zoom(null));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", refresh);
  new ResizeObserver(() => chart?.setSize({ width: box.clientWidth, height: HEIGHT })).observe(box);
  refresh();
})();
