// What pages do beyond HTML: follow a running deployment, warn before the session ends, hold forms back that would be lost, keys. Everything else works
// without this file.
"use strict";

const policy = window.trustedTypes?.createPolicy("console", { createHTML: (text) => text }) ?? { createHTML: (text) => text };
const root = "/console";

// Pages that change by themselves. The stream says only that something changed; the page is fetched again and its parts are replaced.
function follow(main) {
  const line = document.createElement("p");
  line.className = "live";
  const text = document.createElement("span");
  text.setAttribute("role", "status");
  const button = document.createElement("button");
  button.type = "button";
  button.className = "quiet";
  line.append(text, button);
  main.prepend(line);

  let source = null;
  let paused = false;
  let timer = 0;
  let last = Date.now();

  async function refresh() {
    timer = 0;
    let answer;
    try {
      answer = await fetch(location.href, { headers: { "mdfm-look": "1" }, redirect: "manual" });
    } catch {
      return say("No connection to the coordinator; trying again.");
    }
    if (answer.type === "opaqueredirect") return stop("The session has ended. What is shown is old.");
    if (!answer.ok) return say("The page cannot be refreshed; what is shown is old.");
    const fresh = new DOMParser().parseFromString(policy.createHTML(await answer.text()), "text/html");
    for (const part of document.querySelectorAll("[data-part]")) {
      const other = fresh.getElementById(part.id);
      // What somebody works in is left alone.
      const isTyped = [...part.querySelectorAll("input, textarea")].some((field) => field.value !== field.defaultValue);
      if (!other || isTyped || part.contains(document.activeElement)) continue;
      // What somebody opened stays open.
      for (const details of part.querySelectorAll("details[id]")) other.querySelector(`#${CSS.escape(details.id)}`)?.toggleAttribute("open", details.open);
      if (part.outerHTML !== other.outerHTML) part.replaceWith(document.adoptNode(other));
    }
    last = Date.now();
    say("Live.");
  }

  function say(words) {
    if (text.textContent !== words) text.textContent = words;
    button.textContent = paused ? "Follow again" : "Stop following";
  }

  function changed() {
    // At most one look a second, however much happens.
    if (!timer) timer = setTimeout(refresh, Math.max(100, 1000 - (Date.now() - last)));
  }

  function start() {
    if (source || paused || document.hidden) return;
    source = new EventSource(main.dataset.live);
    source.onopen = () => { say("Live."); changed(); };
    source.onmessage = changed;
    for (const kind of ["summary", "devices", "deployment"]) source.addEventListener(kind, changed);
    source.onerror = () => say("No connection to the coordinator; trying again.");
  }

  function stop(words) {
    source?.close();
    source = null;
    clearTimeout(timer);
    timer = 0;
    say(words);
  }

  button.addEventListener("click", () => {
    paused = !paused;
    if (paused) stop("Not following.");
    else start();
  });
  document.addEventListener("visibilitychange", () => (document.hidden ? stop("Not following while hidden.") : start()));
  say("Connecting.");
  start();
}

// The server decides when a session ends. Two minutes before, people are asked; what they typed stays where it is.
function watchSession(body) {
  let idleEnds = Date.parse(body.dataset.idleEnds);
  const ends = Date.parse(body.dataset.ends);
  const title = document.title;
  const channel = "BroadcastChannel" in window ? new BroadcastChannel("mdfm-session") : null;
  const dialog = document.createElement("dialog");
  dialog.setAttribute("role", "alertdialog");
  dialog.setAttribute("aria-labelledby", "session-heading");
  const heading = document.createElement("h2");
  heading.id = "session-heading";
  const words = document.createElement("p");
  const stay = document.createElement("button");
  stay.className = "primary";
  stay.textContent = "Stay signed in";
  const again = document.createElement("a");
  again.className = "button";
  again.target = "_blank";
  again.rel = "noopener";
  again.href = `${root}/sign-in`;
  again.textContent = "Sign in in another tab";
  dialog.append(heading, words, stay, again);
  body.append(dialog);

  function show(first, second, isOver) {
    heading.textContent = first;
    words.textContent = second;
    stay.hidden = isOver;
    again.hidden = !isOver;
    document.title = `${first} · ${title}`;
    if (!dialog.open) dialog.showModal();
  }

  async function extend() {
    const answer = await fetch(`${root}/session`, { redirect: "manual" }).catch(() => null);
    if (!answer?.ok) return;
    idleEnds = Date.parse((await answer.json()).idleEndsAt);
    channel?.postMessage(idleEnds);
    close();
  }

  function close() {
    document.title = title;
    if (dialog.open) dialog.close();
  }

  stay.addEventListener("click", extend);
  dialog.addEventListener("cancel", (event) => event.preventDefault());
  channel?.addEventListener("message", (event) => { idleEnds = Math.max(idleEnds, event.data); close(); });
  channel?.postMessage(idleEnds);
  setInterval(() => {
    const now = Date.now();
    if (now >= Math.min(idleEnds, ends)) {
      for (const secret of document.querySelectorAll("input[type=password], input[autocomplete=one-time-code]")) secret.value = "";
      show("Your session has ended", "Sign in again in another tab; what you typed here is kept, except passwords and codes.", true);
    } else if (now >= idleEnds - 120000) {
      show("Your session is about to end", `You did nothing for a while. You will be signed out in ${Math.ceil((idleEnds - now) / 1000)} seconds.`, false);
    } else if (now >= ends - 600000 && now < ends - 599000) {
      show("Sign in again soon", "Sessions last for a limited time. You will be signed out in ten minutes.", false);
    }
  }, 1000);
}

// A form is sent once, and only when the coordinator answers and the session lasts: otherwise the browser would leave the page, and what was typed with it.
function guardForms() {
  let sending = null;
  const line = document.createElement("p");
  line.className = "note bad";
  line.setAttribute("role", "alert");

  function held(form, words) {
    line.textContent = words;
    form.prepend(line);
    line.scrollIntoView({ block: "nearest" });
  }

  document.addEventListener("submit", async (event) => {
    const form = event.target;
    if (form.method !== "post" || event.defaultPrevented || sending === "passed") return;
    event.preventDefault();
    if (sending) return;
    sending = "asking";
    line.remove();
    form.setAttribute("aria-busy", "true");
    let answer = null;
    try {
      // Sending a form is a use of the session; asking before it is the same use.
      answer = await fetch(`${root}/session`, { redirect: "manual", cache: "no-store", signal: AbortSignal.timeout(10000) });
    } catch {
      // Without an answer nothing is sent.
    }
    form.removeAttribute("aria-busy");
    sending = null;
    if (!answer) return held(form, "The coordinator does not answer. Nothing was sent; what you typed is still here. Try again.");
    if (answer.type === "opaqueredirect") return held(form, "Your session has ended. Nothing was sent; sign in again in another tab, then send this form again.");
    sending = "passed";
    form.requestSubmit(event.submitter);
    sending = "sent";
    // The browser leaves this page now; should it stay (a download), the next form is asked for again.
    setTimeout(() => { sending = null; }, 3000);
  });
  window.addEventListener("pageshow", () => { sending = null; });
}

// Keys, for those who want them: they can be switched off under the own account (WCAG 2.1.4).
function followKeys() {
  const places = { h: "", d: "/deployments", r: "/releases", v: "/devices", o: "/hospitals", c: "/consents", g: "/gateways", f: "/fleet", a: "/audit", i: "/incidents" };
  let first = 0;
  document.addEventListener("keydown", (event) => {
    const isTyped = event.target instanceof Element && event.target.closest("input, textarea, select, [contenteditable]");
    if (isTyped || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const isSecond = Date.now() - first < 1500;
    first = 0;
    if (isSecond && event.key in places) location.href = root + places[event.key];
    else if (event.key === "g") first = Date.now();
    else if (event.key === "/") { event.preventDefault(); document.getElementById("search")?.focus(); }
    else if (event.key === "?") location.href = `${root}/help`;
    else if (event.key === "p") document.querySelector("form[action$='/pause'] [name=reason]")?.focus();
  });
}

// Narrow screens begin with a closed menu.
const menu = document.querySelector("details.menu");
if (menu && window.matchMedia("(max-width: 48rem)").matches) menu.open = false;

const main = document.querySelector("main[data-live]");
if (main) follow(main);
if (document.body.dataset.idleEnds) {
  watchSession(document.body);
  guardForms();
  if (document.body.dataset.keys === "on") followKeys();
}

// What is shown once does not come back with the browser's own memory of pages.
window.addEventListener("pagehide", () => {
  for (const secret of document.querySelectorAll("[data-once]")) secret.replaceChildren("Shown once; it is gone from this page.");
});
