// Verifies an evidence file in the browser. The part between the two marks is that of mdfmctl's verifier.html, line for line; a test compares them.
// The key is the person's: typed, or remembered in this browser. The server is not asked for it.
"use strict";

// --- as in verifier.html
const utf8 = new TextEncoder();
const bytesOf = text => Uint8Array.from(atob(text), c => c.charCodeAt(0));
const hex = bytes => Array.from(bytes, b => b.toString(16).padStart(2, '0')).join('');
const join = (...parts) => { const all = new Uint8Array(parts.reduce((n, p) => n + p.length, 0)); let at = 0; for (const p of parts) { all.set(p, at); at += p.length } return all };
const same = (a, b) => a.length === b.length && a.every((x, i) => x === b[i]);
const sha256 = async bytes => new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
const leafHash = entry => sha256(join(new Uint8Array([0]), entry));
const nodeHash = (left, right) => sha256(join(new Uint8Array([1]), left, right));
const fail = text => { throw new Error(text) };

// C2SP signed-note: a verifier key is name+id+base64(type, key); the id is the start of a hash over name, type and key.
async function parseKey(text, type) {
  const parts = text.trim().match(/^([^+\s]+)\+([0-9a-f]{8})\+(.+)$/) || fail('the key is not of the form name+id+base64');
  const bytes = bytesOf(parts[3]);
  if (bytes[0] !== type || bytes.length !== 33) fail('the key is of another type');
  const id = (await sha256(join(utf8.encode(parts[1] + '\n'), bytes))).slice(0, 4);
  if (hex(id) !== parts[2]) fail('the key does not fit its id');
  const key = await crypto.subtle.importKey('raw', bytes.slice(1), 'Ed25519', false, ['verify']);
  return { name: parts[1], id, key, text: text.trim() };
}

function parseNote(note) {
  const split = note.lastIndexOf('\n\n');
  if (split < 0 || !note.endsWith('\n')) fail('the checkpoint is no signed note');
  const signatures = note.slice(split + 2, -1).split('\n').map(line => {
    const parts = line.match(/^\u2014 ([^+\s]+) ([A-Za-z0-9+/=]+)$/) || fail('a signature line cannot be read');
    const bytes = bytesOf(parts[2]);
    return { name: parts[1], id: bytes.slice(0, 4), bytes: bytes.slice(4) };
  });
  return { text: note.slice(0, split + 1), signatures };
}

async function openCheckpoint(note, key) {
  const { text, signatures } = parseNote(note);
  const own = signatures.filter(s => s.name === key.name && same(s.id, key.id));
  if (!own.length) fail('the checkpoint is not signed by the log');
  for (const s of own) if (!await crypto.subtle.verify('Ed25519', key.key, s.bytes, utf8.encode(text))) fail('the signature of the checkpoint does not hold');
  const lines = text.split('\n');
  if (lines[0] !== key.name || !/^(0|[1-9][0-9]*)$/.test(lines[1])) fail('the checkpoint is of another log');
  return { origin: lines[0], size: BigInt(lines[1]), root: bytesOf(lines[2]), text, signatures };
}

async function countWitnesses(checkpoint, keys) {
  let count = 0;
  for (const text of keys) {
    const key = await parseKey(text, 4);
    for (const s of checkpoint.signatures.filter(s => s.name === key.name && same(s.id, key.id))) {
      const seconds = new DataView(s.bytes.buffer, s.bytes.byteOffset).getBigUint64(0);
      const said = utf8.encode(`cosignature/v1\ntime ${seconds}\n${checkpoint.text}`);
      if (await crypto.subtle.verify('Ed25519', key.key, s.bytes.slice(8), said)) { count++; break }
    }
  }
  return count;
}

// RFC 9162, 2.1.3.2.
async function verifyInclusion(index, size, leaf, path, root) {
  if (index >= size) fail('the position is beyond the checkpoint');
  let fn = index, sn = size - 1n, r = leaf;
  for (const p of path) {
    if (sn === 0n) fail('the proof is too long');
    if (fn & 1n || fn === sn) {
      r = await nodeHash(p, r);
      while (!(fn & 1n) && fn !== 0n) { fn >>= 1n; sn >>= 1n }
    } else r = await nodeHash(r, p);
    fn >>= 1n; sn >>= 1n;
  }
  if (sn !== 0n) fail('the proof is too short');
  if (!same(r, root)) fail('the record is not the one that the log holds');
}

async function verify(evidence, pinned) {
  if (evidence.format !== 'mdfm-evidence/1') fail('this is no evidence file of a form that the page knows');
  if (pinned.trim() && pinned.trim() !== evidence.logKey) fail('the file is from another log than the key that you gave');
  const key = await parseKey(evidence.logKey, 1);
  const checkpoint = await openCheckpoint(evidence.checkpoint, key);
  const { witnessKeys, witnessThreshold } = evidence;
  if (new Set(witnessKeys).size !== witnessKeys.length || !Number.isSafeInteger(witnessThreshold) || witnessThreshold < 0 || witnessThreshold > witnessKeys.length) fail('the witnesses cannot be read');
  const witnesses = await countWitnesses(checkpoint, evidence.witnessKeys);
  if (witnesses < evidence.witnessThreshold) fail(`only ${witnesses} of ${evidence.witnessThreshold} witnesses cosigned`);
  const records = [];
  for (const record of evidence.records) {
    try {
      if (!Number.isSafeInteger(record.index) || record.index < 0) fail('the position is not a number');
      if (records.length && records[records.length - 1].index >= record.index) fail('it does not stand behind the one before it');
      const path = record.proof.map(bytesOf);
      await verifyInclusion(BigInt(record.index), checkpoint.size, await leafHash(utf8.encode(record.entry)), path, checkpoint.root);
      records.push({ ...JSON.parse(record.entry), index: record.index });
    } catch (error) { fail(`entry ${record.index}: ${error.message}`) }
  }
  if (!records.length) fail('the file holds no records: it proves nothing');
  const first = evidence.trustRoots.length ? hex(await firstRootDigest(evidence.trustRoots[0])) : null;
  return { origin: checkpoint.origin, size: String(checkpoint.size), root: hex(checkpoint.root), witnesses, first, records, key: evidence.logKey };
}

// Reads the binary form of signed documents (postcard): numbers in groups of seven bits, texts and lists behind their length.
function reader(bytes) {
  let at = 0;
  const take = n => { if (n > bytes.length - at) fail('a document is cut off'); at += n; return bytes.subarray(at - n, at) };
  const byte = () => take(1)[0];
  const number = () => {
    for (let n = 0n, shift = 0n; shift < 70n; shift += 7n) { const b = byte(); n |= BigInt(b & 127) << shift; if (b < 128) return n }
    fail('a number in a document is too long');
  };
  const counted = () => take(Number(number()));
  const text = () => new TextDecoder('utf-8', { fatal: true }).decode(counted());
  const bool = () => { const b = byte(); if (b > 1) fail('a document cannot be read'); return b === 1 };
  const optional = read => bool() ? read() : null;
  const choice = list => list[Number(number())] ?? fail('a document names what the page does not know');
  return { take, byte, number, counted, text, bool, optional, choice, isAtEnd: () => at === bytes.length };
}

// The signed bytes of a document: they follow the version byte in its frame.
function payloadOf(text) {
  const frame = reader(bytesOf(text));
  if (frame.byte() !== 1) fail('a document has a form that the page does not know');
  return frame.counted();
}

// The digest by which a trust root is named: SHA-256 of its payload.
const firstRootDigest = text => sha256(payloadOf(text));

// What would be invisible, or change the direction of what follows, is shown by its number.
const shown = text => text.replace(/[\p{Co}\p{Cn}\p{Cf}\u{0}-\u{1f}\u{7f}-\u{9f}\u{ad}\u{34f}\u{61c}\u{115f}-\u{1160}\u{17b4}-\u{17b5}\u{180b}-\u{180f}\u{200b}-\u{200f}\u{2028}-\u{202e}\u{2060}-\u{206f}\u{3164}\u{feff}\u{ffa0}\u{fff0}-\u{fffb}\u{fffe}-\u{ffff}\u{1d173}-\u{1d17a}\u{e0000}-\u{e0fff}]/gu, c => `\\u{${c.codePointAt(0).toString(16)}}`);
// --- as in verifier.html, end

const KEPT = "mdfm-log-key";
const box = document.getElementById("verify");

function say(kind, words, more) {
  const verdict = document.getElementById("verdict");
  const line = document.createElement("p");
  const strong = document.createElement("strong");
  strong.textContent = shown(words);
  line.append(strong);
  verdict.className = `note ${kind}`;
  verdict.replaceChildren(line, ...more.map((text) => {
    const p = document.createElement("p");
    p.className = "small";
    p.textContent = shown(text);
    return p;
  }));
}

// The first byte that differs between what the page shows and what the file holds, in words.
function differs(page, file) {
  if (page === file) return null;
  let at = 0;
  while (at < page.length && page[at] === file[at]) at++;
  return `The bytes on this page and in the file differ from character ${at + 1} on.`;
}

async function run() {
  const [key, keep, file] = ["log-key", "log-key-keep", "log-file"].map((id) => document.getElementById(id));
  const pinned = key.value.trim();
  if (keep.checked && pinned) localStorage.setItem(KEPT, pinned);
  else localStorage.removeItem(KEPT);
  say("", "Checking \u2026", []);
  try {
    const chosen = file.files[0];
    let text;
    if (chosen) text = await chosen.text();
    else {
      const answer = await fetch(box.dataset.evidence, { redirect: "manual" });
      if (!answer.ok) fail("the evidence cannot be read; is the session over?");
      text = await answer.text();
    }
    const evidence = JSON.parse(text);
    const found = await verify(evidence, pinned);
    const index = Number(location.pathname.split("/").pop());
    const own = evidence.records.find((record) => record.index === index);
    const page = document.getElementById("exact");
    const other = !chosen && own && page ? differs(page.textContent, own.entry) : null;
    if (other) fail(other);
    const stand = `${found.records.length === 1 ? "the record stands" : `${found.records.length} records stand`} in ${found.origin} of ${found.size} entries`;
    const facts = [`Root ${found.root}.`, `${found.witnesses} witnesses that the file names cosigned; ${evidence.witnessThreshold} are needed.`];
    if (pinned) say("good", `\u2713 Verified: ${stand}.`, facts);
    else say("warn", `Consistent: ${stand}; whose log this is was not checked.`, [...facts, "Give the log's key, as you know it from elsewhere, and verify again."]);
  } catch (error) {
    const old = error.name === "NotSupportedError" || /Ed25519|Unrecognized name|algorithm/i.test(error.message);
    if (old) say("warn", "This browser cannot check Ed25519 signatures.", ["Chrome 137, Firefox 129, Safari 17 or later can. Or save the evidence file and use mdfmctl."]);
    else say("bad", `\u2715 NOT VERIFIED: ${error.message}`, ["Do not rely on this record. Save the evidence file, verify it on another machine, and report it."]);
  }
}

if (box) {
  box.hidden = false;
  const kept = localStorage.getItem(KEPT);
  if (kept) {
    document.getElementById("log-key").value = kept;
    document.getElementById("log-key-keep").checked = true;
  }
  document.getElementById("verify-now").addEventListener("click", run);
}
