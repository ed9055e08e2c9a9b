/**
 * Slack's mrkdwn, as people's messages and blocks are stored (escaped), to nodes.
 * Rule: a pure function of the text and the names; the text only ever becomes text nodes.
 * Source: https://docs.slack.dev/messaging/formatting-message-text
 */

import { el } from "../dom.js";
import { codeBlock } from "./code.js";
import { entity, unescaped } from "./entities.js";

const MARKS = { "*": "strong", _: "em", "~": "s" };
const LETTER = "\\p{L}\\p{N}";
const MOST_NESTED = 6; // marks within marks; deeper ones stay as they were typed

/** Nodes for a whole text: fences, quotes, bullets and lines. */
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

/** Neighbouring lines of one kind together. */
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

function block({ kind, lines: own }, names) {
  if (kind === "quote")
    return [
      el(
        "blockquote",
        {},
        broken(
          own.map((line) => line.replace(/^(&gt;|>) ?/, "")),
          names,
        ),
      ),
    ];
  if (kind === "bullets")
    return [
      el(
        "ul",
        {},
        own.map((line) => el("li", {}, inline(line.replace(/^\s*[•◦▪-] /, ""), names))),
      ),
    ];
  return own.some((line) => line.trim()) ? [el("p", {}, broken(trimmed(own), names))] : [];
}

function trimmed(own) {
  const first = own.findIndex((line) => line.trim());
  const last = own.findLastIndex((line) => line.trim());
  return own.slice(first, last + 1);
}

function broken(own, names) {
  return own.flatMap((line, at) => (at ? [el("br"), ...inline(line, names)] : inline(line, names)));
}

/** Nodes for text within one line. */
function inline(text, names, depth = 0) {
  const nodes = [];
  const unclosed = new Set(); // marks known to have no end further on, so that none is looked for twice
  const special = /[`<*_~]/g;
  let plainFrom = 0;
  for (let found; (found = special.exec(text));) {
    const token = tokenAt({ text, at: found.index, names, depth, unclosed });
    if (!token) continue;
    nodes.push(unescaped(text.slice(plainFrom, found.index)), token.node);
    plainFrom = special.lastIndex = token.end;
  }
  nodes.push(unescaped(text.slice(plainFrom)));
  return nodes.filter((node) => node !== "");
}

function tokenAt(here) {
  const sign = here.text[here.at];
  if (here.unclosed.has(sign)) return null;
  if (sign === "`") return codeAt(here);
  if (sign === "<") return entityAt(here);
  return here.depth < MOST_NESTED ? markAt(here) : null;
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

/** A mark opens after a space or punctuation, closes before one, with no space at its inner edges; double is none. */
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
