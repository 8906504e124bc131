// Fields for text that stands in a file: a chooser beside them reads it. Without this file the text
// is pasted.
"use strict";

for (const area of document.querySelectorAll("textarea[data-file]")) {
  const line = document.createElement("p");
  const label = document.createElement("label");
  const input = document.createElement("input");
  const status = document.createElement("span");
  input.type = "file";
  status.setAttribute("role", "status");
  status.className = "small";
  label.append(`${area.dataset.file}: `, input);
  line.append(label, " ", status);
  area.before(line);
  input.addEventListener("change", async () => {
    const file = input.files[0];
    if (!file) return;
    const bytes = new Uint8Array(await file.arrayBuffer());
    // Spreadsheets also write UTF-16; the first bytes say so.
    const kind = bytes[0] === 0xff && bytes[1] === 0xfe ? "utf-16le" : bytes[0] === 0xfe && bytes[1] === 0xff ? "utf-16be" : "utf-8";
    const text = new TextDecoder(kind).decode(bytes);
    if (text.length > area.maxLength) {
      status.textContent = `${file.name} is too long for this page: ${text.length} characters, at most ${area.maxLength} are taken.`;
      return;
    }
    area.value = text;
    status.textContent = `${file.name} is read: ${text.split("\n").filter((part) => part.trim()).length} lines.`;
  });
}
