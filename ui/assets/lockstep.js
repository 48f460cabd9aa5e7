// The script of the pages: it makes clocks count and the picture of a run move.
// Everything can be read and done without it. What the server sends is only
// ever put into the page as text.
"use strict";
(() => {
  const seconds = 1000;
  let ahead = 0; // of the server's clock before ours, in milliseconds
  const now = () => Date.now() + ahead;

  // clock writes a running time as 1:02 or 1:02:03, as the server does.
  const clock = (ms) => {
    const s = Math.max(0, Math.floor(ms / seconds));
    const two = (n) => String(n).padStart(2, "0");
    return s < 3600 ? `${Math.floor(s / 60)}:${two(s % 60)}`
      : `${Math.floor(s / 3600)}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}`;
  };
  const put = (el, text) => { if (el && el.textContent !== text) el.textContent = text; };
  const tick = () => {
    for (const el of document.querySelectorAll("[data-clock]")) {
      if (el.dataset.clock) put(el, clock(now() - Number(el.dataset.clock)));
    }
  };
  const say = (text) => put(document.getElementById("say"), text);

  // mark puts one changed place of the picture into the page.
  const mark = (m) => {
    const el = document.querySelector(`[data-k="${CSS.escape(m.k)}"]`);
    if (!el) return;
    const was = el.dataset.s;
    el.dataset.s = m.s;
    put(el.querySelector(".t"), m.t || "");
    put(el.querySelector(".w"), m.w || "");
    const c = el.querySelector(".c");
    if (c) {
      c.dataset.clock = m.c || "";
      put(c, m.c ? clock(now() - m.c) : "");
    }
    if (was === m.s) return;
    if (m.k === "lock") say(m.t);
    else if (m.k.startsWith("s-")) say(`${el.querySelector(".strip-name").textContent}: ${m.w || m.s}`);
  };

  // anew reads this page again and puts its live part in place of the old one.
  let reading = false;
  const anew = async () => {
    if (reading) return;
    reading = true;
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
      if (new URL(answer.url).pathname !== location.pathname) { // logged out meanwhile
        location.assign(answer.url);
        return;
      }
      if (!answer.ok) throw new Error(answer.statusText);
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const main = page.getElementById("main");
      if (!main) throw new Error("not a page");
      const focused = document.activeElement && document.activeElement.dataset.k;
      const room = document.querySelector(".grid-room");
      const left = room ? room.scrollLeft : 0;
      ahead = Number(page.body.dataset.now) - Date.now();
      document.getElementById("main").replaceWith(document.adoptNode(main));
      const held = page.querySelector(".held"), old = document.querySelector(".held");
      if (held && old) old.replaceWith(document.adoptNode(held));
      else if (held) document.querySelector(".top").after(document.adoptNode(held));
      else if (old) old.remove();
      const again = document.querySelector(".grid-room");
      if (again) again.scrollLeft = left;
      if (focused) document.querySelector(`[data-k="${CSS.escape(focused)}"]`)?.focus();
      const badge = main.querySelector(".head .badge");
      if (badge && !main.querySelector("[data-stream]")) say(badge.textContent);
    } finally {
      reading = false;
    }
    begin();
  };

  // follow keeps the picture of a run up to date.
  let stream = null;
  const follow = (live) => {
    stream?.close();
    stream = new EventSource(live.dataset.stream);
    const mine = stream;
    stream.addEventListener("patch", (e) => {
      const patch = JSON.parse(e.data);
      ahead = patch.now - Date.now();
      patch.marks.forEach(mark);
      if (patch.shape === live.dataset.shape) return;
      mine.close();
      later(200);
    });
    stream.addEventListener("end", () => {
      mine.close();
      later(200);
    });
    stream.onerror = () => {
      live.dataset.cut = "yes";
      if (mine.readyState === EventSource.CLOSED) later(5 * seconds);
    };
    stream.onopen = () => { delete live.dataset.cut; };
  };

  // later reads the page anew soon, and goes on trying while the server is away.
  let waiting = 0;
  const later = (ms) => {
    clearTimeout(waiting);
    waiting = setTimeout(() => anew().catch(() => later(5 * seconds)), ms);
  };

  const begin = () => {
    const live = document.getElementById("live");
    if (live && live.dataset.stream) follow(live);
    const again = document.querySelector("[data-again]");
    if (again) later(Number(again.dataset.again));
    for (const form of document.querySelectorAll("form[data-typed]")) {
      const button = form.querySelector("button"), typed = form.querySelector("[name=typed]");
      const check = () => { button.disabled = typed.value !== form.dataset.typed; };
      typed.addEventListener("input", check);
      check();
    }
    tick();
  };

  // whoever changes a tick of a restore means what is ticked
  document.addEventListener("change", (e) => {
    const box = e.target.closest("[type=checkbox][name=jobs], [type=checkbox][name=instances]");
    const ticked = box && box.form.querySelector("[name=scope][value=ticked]");
    if (ticked) ticked.checked = true;
  });

  // local times stand in the title of every time that says when in UTC
  document.addEventListener("pointerover", (e) => {
    const el = e.target.closest?.("time[datetime]");
    if (el && !el.dataset.local) {
      el.dataset.local = "yes";
      el.title = `${el.title || el.textContent} · here ${new Date(el.dateTime).toLocaleString()}`;
    }
  });
  ahead = Number(document.body.dataset.now) - Date.now();
  setInterval(tick, seconds);
  begin();
})();
