/**
 * The Markdown that models write, to nodes: headings, lists, quotes, code, tables, rules, paragraphs.
 * Rule: a pure function; unfinished text (`open`, while it streams) is shown as what it is about to become.
 */

import { el } from "../dom.js";
import { codeBlock } from "./code.js";
import { inline } from "./inline.js";
import { isTableAt, table } from "./table.js";

const MOST_NESTED = 8; // quotes and lists within each other; deeper ones are plain text
const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([\w+#.-]*)[^`]*$/;
const HEADING = /^ {0,3}(#{1,6})(?:\s+(.*?))?(?:\s+#+)?\s*$/;
const RULE = /^ {0,3}(?:(?:\*\s*){3,}|(?:-\s*){3,}|(?:_\s*){3,})$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^(\s*)(?:([-*+•])|(\d{1,9})[.)])(\s+|$)/;

/** Nodes for a whole text. `names` as in entities.js; `open` while more of it is still to come. */
export function markdown(text, names, open = false) {
  return blocks(text.replace(/\r\n?/g, "\n").split("\n"), { names, open, depth: 0 });
}

function blocks(lines, place) {
  const nodes = [];
  let at = 0;
  while (at < lines.length) {
    const { node, next } = block(lines, at, place);
    if (node) nodes.push(node);
    at = next;
  }
  return nodes;
}

function block(lines, at, place) {
  const line = lines[at];
  if (!line.trim()) return { node: null, next: at + 1 };
  if (FENCE.test(line)) return fence(lines, at);
  if (HEADING.test(line)) return heading(lines, at, place);
  if (RULE.test(line)) return { node: el("hr"), next: at + 1 };
  if (place.depth < MOST_NESTED && QUOTE.test(line)) return quote(lines, at, place);
  if (place.depth < MOST_NESTED && ITEM.test(line)) return list(lines, at, place);
  if (isTableAt(lines, at, isOpenAt(lines, lines.length, place))) return table(lines, at, place.names);
  return paragraph(lines, at, place);
}

/** Whether text ending before line `next` is the end of what has streamed so far. */
function isOpenAt(lines, next, place) {
  return place.open && next >= lines.length;
}

function within(lines, next, place) {
  return { ...place, depth: place.depth + 1, open: isOpenAt(lines, next, place) };
}

function fence(lines, at) {
  const [, marks, language] = FENCE.exec(lines[at]);
  const end = lines.findIndex(
    (line, row) => row > at && line.trim().startsWith(marks) && !line.trim().replaceAll(marks[0], ""),
  );
  const last = end < 0 ? lines.length : end;
  return { node: codeBlock(lines.slice(at + 1, last).join("\n"), language), next: last + 1 };
}

function heading(lines, at, place) {
  const [, marks, text = ""] = HEADING.exec(lines[at]);
  const level = Math.min(marks.length + 2, 6); // the page's own headings are the first two levels
  return { node: el(`h${level}`, {}, inline(text, place.names, isOpenAt(lines, at + 1, place))), next: at + 1 };
}

function quote(lines, at, place) {
  let next = at;
  while (next < lines.length && QUOTE.test(lines[next])) next += 1;
  const inner = lines.slice(at, next).map((line) => line.replace(QUOTE, ""));
  return { node: el("blockquote", {}, blocks(inner, within(lines, next, place))), next };
}

function list(lines, at, place) {
  const ordered = ITEM.exec(lines[at])[3] !== undefined;
  const items = [];
  let next = at;
  while (next < lines.length && startsItem(lines[next], ordered)) {
    const end = itemEnd(lines, next);
    items.push(item(lines, next, end, place));
    next = end;
  }
  const start = ordered ? Number(ITEM.exec(lines[at])[3]) : 1;
  return { node: el(ordered ? "ol" : "ul", { start: start === 1 ? null : String(start) }, items), next };
}

function startsItem(line, ordered) {
  const found = ITEM.exec(line);
  return found !== null && (found[3] !== undefined) === ordered && !RULE.test(line);
}

/** An item goes on over indented lines, over blank ones between them, and over lines that carry its text on. */
function itemEnd(lines, at) {
  const [, indent] = ITEM.exec(lines[at]);
  let next = at + 1;
  for (let row = next; row < lines.length; row += 1) {
    if (!lines[row].trim()) continue;
    const deeper = lines[row].search(/\S/) > indent.length + 1;
    const carriedOn = row === next && !startsBlock(lines[row]);
    if (!deeper && !carriedOn) return lines[row - 1].trim() || !ITEM.test(lines[row]) ? next : row;
    next = row + 1;
  }
  return lines.length;
}

function item(lines, at, end, place) {
  const first = lines[at].replace(ITEM, "");
  const width = lines[at].length - first.length;
  const rest = lines.slice(at + 1, end).map((line) => line.replace(new RegExp(`^\\s{0,${width}}`), ""));
  return el("li", {}, unwrapped(blocks([first, ...rest], within(lines, end, place))));
}

/** An item's first paragraph stands in the item itself, so that lists stay tight. */
function unwrapped(nodes) {
  return nodes[0]?.tagName === "P" ? [...nodes[0].childNodes, ...nodes.slice(1)] : nodes;
}

function startsBlock(line) {
  return [FENCE, HEADING, RULE, QUOTE, ITEM].some((pattern) => pattern.test(line));
}

function paragraph(lines, at, place) {
  let next = at + 1;
  while (next < lines.length && lines[next].trim() && !endsParagraph(lines, next)) next += 1;
  const text = lines
    .slice(at, next)
    .map((line) => line.trim())
    .join("\n");
  return { node: el("p", {}, inline(text, place.names, isOpenAt(lines, next, place))), next };
}

function endsParagraph(lines, at) {
  const [, , , number] = ITEM.exec(lines[at]) ?? [];
  return (startsBlock(lines[at]) && (number === undefined || number === "1")) || isTableAt(lines, at, false);
}
