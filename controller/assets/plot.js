// What all charts share: colours of the theme, axes in the chosen zone, hatching where nothing was measured.
"use strict";

window.tidemarkPlot = (() => {
  let isLocal = false;
  document.addEventListener("tidemark:zone", (event) => (isLocal = event.detail.isLocal));

  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const faint = (name, share) => `color-mix(in srgb, ${color(name)} ${share}%, transparent)`;
  const count = (value) => Math.round(value).toLocaleString("en-US");

  // With as many digits as say something; the controller writes figures the same way.
  const figure = (value) => {
    const size = Math.abs(value);
    if (size >= 100 || Number.isInteger(size)) return count(value);
    return String(Number(value.toFixed(size >= 10 ? 1 : size >= 1 ? 2 : 3)));
  };

  const instant = (ms) => {
    const time = new Date(ms);
    if (!isLocal) return `${time.toISOString().slice(5, 19).replace("T", " ")} UTC`;
    return time.toLocaleString(undefined, {
      month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false,
    });
  };

  const tzDate = (seconds) => {
    const time = new Date(seconds * 1000);
    return isLocal ? time : uPlot.tzDate(time, "UTC");
  };

  // Least seconds between two ticks, how a tick is written, and what is added where the day begins.
  const TIME_TICKS = [
    [86400 * 28, "{D} {MMM}", "\n{YYYY}", null, null, null, null, null, 1],
    [86400, "{D} {MMM}", null, null, null, null, null, null, 1],
    [3600, "{HH}:{mm}", "\n{D} {MMM}", null, "\n{D} {MMM}", null, null, null, 1],
    [60, "{HH}:{mm}", "\n{D} {MMM}", null, "\n{D} {MMM}", null, null, null, 1],
    [1, "{HH}:{mm}:{ss}", "\n{D} {MMM}", null, "\n{D} {MMM}", null, null, null, 1],
  ];

  // Between two lines of an axis of counts: whole numbers, since there is no half of a port.
  const WHOLE_STEPS = [0, 1, 2, 3, 4, 5, 6].flatMap((power) => [1, 2, 5].map((step) => step * 10 ** power));

  const axes = (words, steps) => {
    const axis = {
      stroke: color("--ink-3"),
      grid: { stroke: color("--line-2"), width: 1 },
      ticks: { show: false },
      font: "12px system-ui, sans-serif",
    };
    return [{ ...axis, values: TIME_TICKS }, { ...axis, size: 64, incrs: steps, values: (_, values) => values.map(words) }];
  };

  const hatching = (ctx) => {
    const size = 6 * devicePixelRatio;
    const tile = document.createElement("canvas");
    tile.width = tile.height = size;
    const pen = tile.getContext("2d");
    pen.strokeStyle = color("--line");
    pen.lineWidth = devicePixelRatio;
    for (const shift of [-size, 0, size]) {
      pen.moveTo(shift, size);
      pen.lineTo(shift + size, 0);
    }
    pen.stroke();
    return ctx.createPattern(tile, "repeat");
  };

  // Spans between points in which no line has a value, in seconds.
  const blanks = (xs, lines, end) => {
    const found = [];
    let from = null;
    for (const [index, x] of xs.entries()) {
      const isBlank = x < end && lines.every((line) => line[index] === null || line[index] === undefined);
      if (isBlank) from ??= x;
      else if (from !== null) {
        found.push([from, x]);
        from = null;
      }
    }
    if (from !== null) found.push([from, end]);
    return found;
  };

  // Draws behind the lines: `spans` hatched, `shaded` in grey.
  const drawSpans = (u, spans, fill) => {
    const { ctx, bbox } = u;
    ctx.save();
    ctx.fillStyle = fill === "hatched" ? hatching(ctx) : fill;
    for (const [from, to] of spans) {
      const left = Math.max(bbox.left, u.valToPos(from, "x", true));
      const right = Math.min(bbox.left + bbox.width, u.valToPos(to, "x", true));
      if (right > left) ctx.fillRect(left, bbox.top, right - left, bbox.height);
    }
    ctx.restore();
  };

  // What was selected by dragging, in milliseconds; null when it was a click.
  const selected = (u) => {
    if (u.select.width < 8) return null;
    const edge = (x) => Math.round(u.posToVal(x, "x") * 1000);
    return [edge(u.select.left), edge(u.select.left + u.select.width)];
  };

  return { color, faint, count, figure, instant, tzDate, axes, WHOLE_STEPS, blanks, drawSpans, selected };
})();
