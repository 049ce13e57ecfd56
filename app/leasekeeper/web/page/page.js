"use strict";
(() => {
  const live = document.getElementById("live");
  // The server's clock counts: what is shown are its times.
  let ahead = Date.parse(document.body.dataset.now) - Date.now();
  let heard = Date.now();

  const span = (seconds) => {
    const s = Math.max(Math.round(seconds), 0);
    if (s < 120) return `${s} s`;
    if (s < 7200) return `${Math.floor(s / 60)} min ${s % 60 ? (s % 60) + " s" : ""}`.trim();
    if (s < 172800) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
    return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
  };

  const words = (kind, seconds) => {
    if (kind === "left") return span(seconds);
    if (kind === "for") return span(-seconds);
    return seconds >= 0 ? `in ${span(seconds)}` : `${span(-seconds)} ago`;
  };

  const move = () => {
    const now = Date.now() + ahead;
    for (const each of document.querySelectorAll("time[data-kind]")) {
      const text = words(each.dataset.kind, (Date.parse(each.dateTime) - now) / 1000);
      if (each.textContent !== text) each.textContent = text;
    }
    for (const each of document.querySelectorAll(".line")) {
      const from = Date.parse(each.dataset.from), to = Date.parse(each.dataset.to);
      const part = Math.min(Math.max((now - from) / Math.max(to - from, 1), 0), 1);
      const x = `${(1 + 98 * part).toFixed(2)}%`;
      each.querySelector(".past").setAttribute("x2", x);
      each.querySelector(".now").setAttribute("x1", x);
      each.querySelector(".now").setAttribute("x2", x);
    }
    const silent = (Date.now() - heard) / 1000;
    if (silent > 20) tell("lost", `no news for ${span(silent)}: this page may be out of date`);
  };

  const tell = (state, text) => {
    live.className = `live soft ${state}`;
    if (live.textContent !== text) live.textContent = text;
  };

  const show = (sections) => {
    const focused = document.activeElement && document.activeElement.id;
    for (const [id, html] of Object.entries(sections)) document.getElementById(id).innerHTML = html;
    if (focused && document.activeElement.id !== focused) {
      const again = document.getElementById(focused);
      if (again) again.focus({ preventScroll: true });
    }
  };

  const news = new EventSource("events");
  news.onmessage = (message) => {
    const told = JSON.parse(message.data);
    heard = Date.now();
    ahead = Date.parse(told.now) - heard;
    show(told.sections);
    if (told.title) document.title = told.title;
    tell("on", "live");
    move();
  };
  news.onerror = () => tell("lost", "connection lost: this page shows what was known before");
  move();
  setInterval(move, 1000);
})();
