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

  const asked = new URLSearchParams(location.search);
  if (asked.has("from") && asked.has("to")) fixed = [Number(asked.get("from")), Number(asked.get("to"))];

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

  const marks = () => [...document.querySelectorAll("#events .event")]
    .filter((event) => event.dataset.urgency !== "calm")
    .map((event) => Number(event.dataset.ms) / 1000);

  const drawMarks = (u) => {
    const { ctx, bbox } = u;
    const size = 5 * devicePixelRatio;
    ctx.save();
    ctx.fillStyle = color("--watch");
    for (const at of marks()) {
      if (at < u.scales.x.min || at > u.scales.x.max) continue;
      const x = u.valToPos(at, "x", true);
      ctx.beginPath();
      ctx.moveTo(x - size, bbox.top);
      ctx.lineTo(x + size, bbox.top);
      ctx.lineTo(x, bbox.top + size * 1.6);
      ctx.fill();
    }
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
    const line = (stroke, more) => ({ stroke, width: 1.5, points: { show: false }, ...more });
    return {
      width: box.clientWidth,
      height: HEIGHT,
      legend: { show: false },
      tzDate: plot.tzDate,
      scales: { x: { range: () => [from / 1000, end / 1000] }, y: { range: () => [0, top] } },
      cursor: { drag: { x: true, y: false, setScale: false }, points: { show: false } },
      axes: plot.axes(number),
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
        setCursor: [(u) => (readout.textContent = read(u.data, u.cursor.idx))],
        setSelect: [(u) => {
          const span = plot.selected(u);
          if (span) zoom(span);
        }],
        drawClear: [(u) => plot.drawSpans(u, plot.blanks(data[0], [data[1], data[6]], Math.min(Date.now(), end) / 1000), "hatched")],
        draw: [drawMarks],
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
      const ahead = !fixed && said.eta ? Math.min(Math.max((said.hi ?? said.eta) - to, range * 0.1) * 1.1, range * 1.2) : range * 0.01;
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
  document.addEventListener("tidemark:event", () => chart?.redraw());
  box.addEventListener("dblclick", () => zoom(null));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", refresh);
  new ResizeObserver(() => chart?.setSize({ width: box.clientWidth, height: HEIGHT })).observe(box);
  refresh();
})();
