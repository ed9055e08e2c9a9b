/**
 * Renders Slack's mrkdwn as Slack stores it, escaped.
 * Rule: a pure function that only makes text nodes.
 * Source: https://docs.slack.dev/messaging/formatting-message-text
 */

import { el } from "../dom.js";
import { codeBlock } from "./code.js";
import { entity, unescaped } from "./entities.js";

const MARKS = { "*": "strong", _: "em", "~": "s" };
const LETTER = "\\p{L}\\p{N}";
const MAX_DEPTH = 6; // of marks within marks; deeper ones stay plain text

/** Nodes for a whole text: code blocks, quotes, bullets and lines. */
export function mrkdwn(text, names) {
  return text.split(/```/).flatMap((part, at, parts) => {
    const unclosed = at % 2 === 1 && at === parts.length - 1;
    if (unclosed) return lines(`\`\`\`${part}`, names);
    return at % 2
      ? [codeBlock(unescaped(part.replace(/^\n|\n$/g, "")))]
      : lines(part.replace(at ? /^\n/ : /^/, ""), names);
  });
}

function lines(text, names) {
  const nodes = [];
  for (const run of runs(text.replace(/\n$/, "").split("\n"))) nodes.push(...block(run, names));
  return nodes;
}

/** Groups neighbouring lines of one kind. */
function* runs(all) {
  let run = null;
  for (const line of all) {
    const kind = kindOf(line);
    if (run?.kind !== kind) {
      if (run) yield run;
      run = { kind, lines: [] };
    }
    run.lines.push(line);
  }
  if (run) yield run;
}

function kindOf(line) {
  if (/^(&gt;|>)/.test(line)) return "quote";
  return /^\s*[•◦▪-] /.test(line) ? "bullets" : "text";
}

function block({ kind, lines: group }, names) {
  if (kind === "quote")
    return [
      el(
        "blockquote",
        {},
        withLineBreaks(
          group.map((line) => line.replace(/^(&gt;|>) ?/, "")),
          names,
        ),
      ),
    ];
  if (kind === "bullets")
    return [
      el(
        "ul",
        {},
        group.map((line) => el("li", {}, inline(line.replace(/^\s*[•◦▪-] /, ""), names))),
      ),
    ];
  return group.some((line) => line.trim()) ? [el("p", {}, withLineBreaks(trimmed(group), names))] : [];
}

function trimmed(group) {
  const first = group.findIndex((line) => line.trim());
  const last = group.findLastIndex((line) => line.trim());
  return group.slice(first, last + 1);
}

function withLineBreaks(group, names) {
  return group.flatMap((line, at) => (at ? [el("br"), ...inline(line, names)] : inline(line, names)));
}

/** Nodes for text within one line. */
function inline(text, names, depth = 0) {
  const nodes = [];
  const unclosed = new Set(); // marks without an end, so that each end is searched for only once
  const special = /[`<*_~]/g;
  let plainFrom = 0;
  for (let match; (match = special.exec(text));) {
    const token = tokenAt({ text, at: match.index, names, depth, unclosed });
    if (!token) continue;
    nodes.push(unescaped(text.slice(plainFrom, match.index)), token.node);
    plainFrom = special.lastIndex = token.end;
  }
  nodes.push(unescaped(text.slice(plainFrom)));
  return nodes.filter((node) => node !== "");
}

function tokenAt(cursor) {
  const sign = cursor.text[cursor.at];
  if (cursor.unclosed.has(sign)) return null;
  if (sign === "`") return codeAt(cursor);
  if (sign === "<") return entityAt(cursor);
  return cursor.depth < MAX_DEPTH ? markAt(cursor) : null;
}

function codeAt({ text, at }) {
  const end = text.indexOf("`", at + 1);
  return end > at + 1 ? { node: el("code", {}, unescaped(text.slice(at + 1, end))), end: end + 1 } : null;
}

function entityAt({ text, at, names }) {
  const end = text.indexOf(">", at);
  const node = end < 0 ? null : entity(text.slice(at + 1, end), names);
  return node && { node, end: end + 1 };
}

/** A mark opens after and closes before a space or punctuation, and has no space inside its edges. */
function markAt({ text, at, names, depth, unclosed }) {
  const mark = text[at];
  const beside = (side, more) => new RegExp(`[${more}${mark}]`, "u").test(text[side] ?? "");
  if (at + 1 === text.length || beside(at - 1, LETTER) || beside(at + 1, "\\s")) return null;
  for (let end = text.indexOf(mark, at + 2); end > 0; end = text.indexOf(mark, end + 1)) {
    if (beside(end - 1, "\\s") || beside(end + 1, LETTER)) continue;
    return { node: el(MARKS[mark], {}, inline(text.slice(at + 1, end), names, depth + 1)), end: end + 1 };
  }
  unclosed.add(mark);
  return null;
}
