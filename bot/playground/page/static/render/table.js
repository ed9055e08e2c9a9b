/** Renders Markdown tables: a row of headings, a row of dashes, rows of cells. A wide table scrolls separately. */

import { el } from "../dom.js";
import { inline } from "./inline.js";

const DASHES = /^\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*$/;

/** Whether a table begins at this line. In `open` text its dashes may still be missing. */
export function isTableAt(lines, at, open) {
  if (!lines[at].includes("|")) return false;
  const below = lines[at + 1];
  if (below?.includes("-") && DASHES.test(below) && cells(below).length === cells(lines[at]).length) return true;
  const arriving = at + 2 >= lines.length && /^[\s|:-]*$/.test(below ?? "");
  return open && arriving && /^\s*\|/.test(lines[at]);
}

/** The table at this line, and the line after it. */
export function table(lines, at, names) {
  let next = at + 2;
  while (next < lines.length && lines[next].includes("|")) next += 1;
  const sides = cells(lines[at + 1] ?? "").map(side);
  const head = row("th", cells(lines[at]), sides, names);
  const body = lines.slice(at + 2, next).map((line) => row("td", cells(line).slice(0, sides.length), sides, names));
  const node = el("table", {}, el("thead", {}, head), el("tbody", {}, body));
  return { node: el("div", { class: "table", tabindex: "0", role: "region", "aria-label": "Table" }, node), next };
}

function row(tag, texts, sides, names) {
  const scope = tag === "th" ? "col" : null;
  return el(
    "tr",
    {},
    texts.map((text, at) => el(tag, { class: sides[at], scope }, inline(text.replaceAll("\\|", "|"), names))),
  );
}

function cells(line) {
  return line
    .trim()
    .replace(/^\||(?<!\\)\|$/g, "")
    .split(/(?<!\\)\|/)
    .map((cell) => cell.trim());
}

function side(dashes) {
  if (/^:-*:$/.test(dashes)) return "centre";
  return dashes.endsWith(":") ? "right" : null;
}
