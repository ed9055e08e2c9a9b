/**
 * Renders the Markdown that models write: headings, lists, quotes, code, tables, rules, paragraphs.
 * Rule: a pure function. Incomplete text (`open`, while it streams) is rendered as what it will probably become.
 */

import { el } from "../dom.js";
import { codeBlock } from "./code.js";
import { inline } from "./inline.js";
import { isTableAt, table } from "./table.js";

const MAX_DEPTH = 8; // of quotes and lists within each other; deeper ones are plain text
const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([\w+#.-]*)[^`]*$/;
const HEADING = /^ {0,3}(#{1,6})(?:\s+(.*?))?(?:\s+#+)?\s*$/;
const RULE = /^ {0,3}(?:(?:\*\s*){3,}|(?:-\s*){3,}|(?:_\s*){3,})$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^(\s*)(?:([-*+•])|(\d{1,9})[.)])(\s+|$)/;

/** Nodes for a whole text. `names` as in entities.js. `open` while more text is still to come.
 * Without `tables`, a table is shown as it was typed. */
export function markdown(text, names, open = false, tables = true) {
  return blocks(text.replace(/\r\n?/g, "\n").split("\n"), { names, open, tables, depth: 0 });
}

function blocks(lines, context) {
  const nodes = [];
  let at = 0;
  while (at < lines.length) {
    const { node, next } = block(lines, at, context);
    if (node) nodes.push(node);
    at = next;
  }
  return nodes;
}

function block(lines, at, context) {
  const line = lines[at];
  if (!line.trim()) return { node: null, next: at + 1 };
  if (FENCE.test(line)) return fence(lines, at);
  if (HEADING.test(line)) return heading(lines, at, context);
  if (RULE.test(line)) return { node: el("hr"), next: at + 1 };
  if (context.depth < MAX_DEPTH && QUOTE.test(line)) return quote(lines, at, context);
  if (context.depth < MAX_DEPTH && ITEM.test(line)) return list(lines, at, context);
  if (context.tables && isTableAt(lines, at, isOpenAt(lines, lines.length, context))) return table(lines, at, context.names);
  return paragraph(lines, at, context);
}

/** Whether a block that ends before line `next` may still grow, as the last one of a streaming text. */
function isOpenAt(lines, next, context) {
  return context.open && next >= lines.length;
}

function within(lines, next, context) {
  return { ...context, depth: context.depth + 1, open: isOpenAt(lines, next, context) };
}

function fence(lines, at) {
  const [, marks, language] = FENCE.exec(lines[at]);
  const end = lines.findIndex(
    (line, row) => row > at && line.trim().startsWith(marks) && !line.trim().replaceAll(marks[0], ""),
  );
  const last = end < 0 ? lines.length : end;
  return { node: codeBlock(lines.slice(at + 1, last).join("\n"), language), next: last + 1 };
}

function heading(lines, at, context) {
  const [, marks, text = ""] = HEADING.exec(lines[at]);
  const level = Math.min(marks.length + 2, 6); // the page itself uses the first two levels
  return { node: el(`h${level}`, {}, inline(text, context.names, isOpenAt(lines, at + 1, context))), next: at + 1 };
}

function quote(lines, at, context) {
  let next = at;
  while (next < lines.length && QUOTE.test(lines[next])) next += 1;
  const inner = lines.slice(at, next).map((line) => line.replace(QUOTE, ""));
  return { node: el("blockquote", {}, blocks(inner, within(lines, next, context))), next };
}

function list(lines, at, context) {
  const ordered = ITEM.exec(lines[at])[3] !== undefined;
  const items = [];
  let next = at;
  while (next < lines.length && startsItem(lines[next], ordered)) {
    const end = itemEnd(lines, next);
    items.push(item(lines, next, end, context));
    next = end;
  }
  const start = ordered ? Number(ITEM.exec(lines[at])[3]) : 1;
  return { node: el(ordered ? "ol" : "ul", { start: start === 1 ? null : String(start) }, items), next };
}

function startsItem(line, ordered) {
  const match = ITEM.exec(line);
  return match !== null && (match[3] !== undefined) === ordered && !RULE.test(line);
}

/** The line after an item. An item includes indented lines, blank lines between them, and continuation lines. */
function itemEnd(lines, at) {
  const [, indent] = ITEM.exec(lines[at]);
  let next = at + 1;
  for (let row = next; row < lines.length; row += 1) {
    if (!lines[row].trim()) continue;
    const deeper = lines[row].search(/\S/) > indent.length + 1;
    const isContinuation = row === next && !startsBlock(lines[row]);
    if (!deeper && !isContinuation) return lines[row - 1].trim() || !ITEM.test(lines[row]) ? next : row;
    next = row + 1;
  }
  return lines.length;
}

function item(lines, at, end, context) {
  const first = lines[at].replace(ITEM, "");
  const width = lines[at].length - first.length;
  const rest = lines.slice(at + 1, end).map((line) => line.replace(new RegExp(`^\\s{0,${width}}`), ""));
  return el("li", {}, unwrapped(blocks([first, ...rest], within(lines, end, context))));
}

/** Unwraps an item's first paragraph, so that lists stay tight. */
function unwrapped(nodes) {
  return nodes[0]?.tagName === "P" ? [...nodes[0].childNodes, ...nodes.slice(1)] : nodes;
}

function startsBlock(line) {
  return [FENCE, HEADING, RULE, QUOTE, ITEM].some((pattern) => pattern.test(line));
}

function paragraph(lines, at, context) {
  let next = at + 1;
  while (next < lines.length && lines[next].trim() && !endsParagraph(lines, next)) next += 1;
  const text = lines
    .slice(at, next)
    .map((line) => line.trim())
    .join("\n");
  return { node: el("p", {}, inline(text, context.names, isOpenAt(lines, next, context))), next };
}

function endsParagraph(lines, at) {
  const [, , , number] = ITEM.exec(lines[at]) ?? [];
  return (startsBlock(lines[at]) && (number === undefined || number === "1")) || isTableAt(lines, at, false);
}
