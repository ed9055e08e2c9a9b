/** A code block: its language, a Copy button, and the code, which scrolls separately. */

import { el } from "../dom.js";

export function codeBlock(code, language = "") {
  return el(
    "figure",
    { class: "code" },
    el(
      "figcaption",
      {},
      el("span", {}, language || "text"),
      el("button", { type: "button", class: "copy", onclick: copy }, "Copy"),
    ),
    el("pre", { tabindex: "0" }, el("code", {}, code)),
  );
}

async function copy(event) {
  const button = event.currentTarget;
  await navigator.clipboard.writeText(button.closest("figure").querySelector("code").textContent);
  button.textContent = "Copied";
  setTimeout(() => (button.textContent = "Copy"), 1500); // milliseconds
}
