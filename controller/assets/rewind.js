// Rewinding a host: a click on its chart, the slider and the keys show its table as it was; the address follows.
"use strict";

(() => {
  const chart = document.getElementById("chart");
  if (!chart) return;
  const MINUTE_MS = 60_000;
  let asking = null;

  const then = () => document.getElementById("then");

  const address = (at) => {
    const query = new URLSearchParams(location.search);
    query.set("at", at);
    return `${location.pathname}?${query}`;
  };

  // The slider goes over what the chart shows, which it learns from the address or the choice of a range.
  const placeSlider = () => {
    const slider = document.getElementById("slider");
    if (!slider) return;
    const query = new URLSearchParams(location.search);
    const at = Number(then().dataset.at);
    const range = Number(chart.dataset.range);
    const to = Number(query.get("to")) || Math.min(at + range / 4, Date.now());
    const from = Number(query.get("from")) || to - range;
    slider.min = Math.floor(from / MINUTE_MS) * MINUTE_MS;
    slider.max = Math.min(to, Date.now());
    slider.value = at;
    slider.hidden = false;
    slider.addEventListener("input", () => show(address(slider.value), "replace"));
  };

  const show = async (url, how) => {
    asking?.abort();
    asking = new AbortController();
    const { signal } = asking;
    try {
      const answer = await fetch(url, { signal, headers: { accept: "text/html" } });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.getElementById("then");
      if (!fresh) return location.assign(url);
      const slider = document.activeElement?.id === "slider";
      if (how === "replace") history.replaceState(null, "", url);
      else history.pushState(null, "", url);
      then().replaceWith(fresh);
      placeSlider();
      if (slider) document.getElementById("slider").focus({ preventScroll: true });
      document.dispatchEvent(new CustomEvent("tidemark:shown"));
      document.dispatchEvent(new CustomEvent("tidemark:rewound"));
    } catch (error) {
      if (!signal.aborted) location.assign(url);
    }
  };

  document.addEventListener("tidemark:rewind", ({ detail: at }) => {
    if (then()) show(address(at));
    else location.assign(address(at));
  });
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("#then nav a[href*='at=']");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const at = new URL(link.href).searchParams.get("at");
    show(address(at));
  });
  window.addEventListener("popstate", () => location.reload());
  placeSlider();
})();
