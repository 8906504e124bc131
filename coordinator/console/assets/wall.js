// A wall display makes its picture again every few seconds, and says how old it is. What is old is never shown as if it were new.
"use strict";

const policy = window.trustedTypes?.createPolicy("console", { createHTML: (text) => text }) ?? { createHTML: (text) => text };
const EVERY_MS = 5000;
const STALE_MS = 15000;
let made = performance.now();
let ended = false;

async function again() {
  const asked = performance.now();
  let answer;
  try {
    // It is no use of the session: a display keeps nobody signed in.
    answer = await fetch(location.href, { headers: { "mdfm-look": "1" }, redirect: "manual", cache: "no-store" });
  } catch {
    return;
  }
  if (answer.type === "opaqueredirect") { ended = true; return; }
  if (!answer.ok) return;
  const fresh = new DOMParser().parseFromString(policy.createHTML(await answer.text()), "text/html").getElementById("wall");
  if (!fresh) return;
  ended = false;
  made = asked;
  document.getElementById("wall").replaceWith(document.adoptNode(fresh));
}

function beat() {
  const age = performance.now() - made;
  const old = age > STALE_MS || ended;
  document.body.classList.toggle("stale", old);
  const seconds = Math.floor(age / 1000);
  const words = ended ? "STALE: the session has ended; sign in again" : old ? `STALE: ${seconds} s old, no connection` : "Live";
  const line = document.getElementById("beat");
  if (line.dataset.words !== words.replace(/\d+/, "")) { line.dataset.words = words.replace(/\d+/, ""); line.textContent = old ? words : "Live"; }
  document.getElementById("age").textContent = `${seconds} s old`;
  const now = new Date();
  document.getElementById("clock").textContent = `${now.toISOString().slice(0, 19).replace("T", " ")} UTC`;
  const site = document.getElementById("site-clock");
  if (site) site.textContent = `${now.toLocaleTimeString("en-GB", { timeZone: site.dataset.zone })} ${site.dataset.zone}`;
}

const age = document.createElement("span");
age.id = "age";
age.className = "small";
document.getElementById("beat").after(age);
setInterval(beat, 1000);
setInterval(again, EVERY_MS);
beat();
