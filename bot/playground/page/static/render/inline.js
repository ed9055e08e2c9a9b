/**
 * Renders Markdown within a paragraph, as models write it.
 * Rule: a pure function that only makes text nodes. In `open` text, which still streams, markers close at its end.
 */

import { el } from "../dom.js";
import { entity } from "./entities.js";
import { safeAddress, link } from "./links.js";

const MAX_DEPTH = 8; // of emphasis and links within each other
const ENTITIES = { amp: "&", lt: "<", gt: ">", quot: '"', nbsp: "\u00a0" };
const WORD = /[\p{L}\p{N}_]/u;
const TAGS = { 1: ["em"], 2: ["strong"], 3: ["em", "strong"] };

/** Nodes for one paragraph's text. `names` as in entities.js. `open` while more text is still to come. */
export function inline(text, names, open = false, depth = 0) {
  const nodes = [];
  const unclosed = new Set(); // markers without an end, so that each end is searched for only once
  const special = /[\\`*_~[!<&\n]|https?:\/\//g;
  let plainFrom = 0;
  for (let match; (match = special.exec(text));) {
    const token = tokenAt({ text, at: match.index, names, open, depth, unclosed });
    if (!token) continue;
    nodes.push(text.slice(plainFrom, match.index), ...token.nodes);
    plainFrom = special.lastIndex = token.end;
  }
  nodes.push(text.slice(plainFrom));
  return nodes.filter((node) => node !== "");
}

const TOKENS = {
  "\\": escape,
  "`": code,
  "*": emphasis,
  _: emphasis,
  "~": emphasis,
  "[": labelled,
  "!": image,
  "<": angled,
  "&": reference,
  "\n": ({ at }) => ({ nodes: [el("br")], end: at + 1 }),
  h: address,
};

function tokenAt(cursor) {
  return TOKENS[cursor.text[cursor.at]](cursor);
}

function escape({ text, at }) {
  return /[!-/:-@[-`{-~]/.test(text[at + 1] ?? "") ? { nodes: [text[at + 1]], end: at + 2 } : null;
}

function code({ text, at, open, unclosed }) {
  const run = /^`+/.exec(text.slice(at))[0];
  const from = at + run.length;
  const end = unclosed.has(run) ? -1 : closingTicks(text, from, run.length);
  if (end >= 0) return { nodes: [el("code", {}, stripped(text.slice(from, end)))], end: end + run.length };
  unclosed.add(run);
  return open && from < text.length
    ? { nodes: [el("code", {}, text.slice(from))], end: text.length }
    : { nodes: [run], end: from };
}

function closingTicks(text, from, length) {
  const ticks = /`+/g;
  ticks.lastIndex = from;
  for (let match; (match = ticks.exec(text));) if (match[0].length === length) return match.index;
  return -1;
}

function stripped(inner) {
  return /^ .*[^ ].* $/s.test(inner) ? inner.slice(1, -1) : inner;
}

function emphasis(cursor) {
  const { text, at, open } = cursor;
  const run = new RegExp(`^[${text[at]}]+`).exec(text.slice(at))[0];
  const after = text[at + run.length];
  if (open && after === undefined) return { nodes: [], end: text.length }; // the marker may be incomplete
  if (!mayOpen(text, at, run) || cursor.depth >= MAX_DEPTH) return { nodes: [run], end: at + run.length };
  return closed(cursor, run.length) ?? unfinished(cursor, run) ?? { nodes: [run], end: at + run.length };
}

function mayOpen(text, at, run) {
  const inWord = run[0] !== "*" && WORD.test(text[at - 1] ?? "");
  if (run[0] === "~" && run.length !== 2) return false;
  return run.length <= 3 && !inWord && !/\s|^$/.test(text[at + run.length] ?? "");
}

function closed(cursor, length) {
  const { text, at, unclosed } = cursor;
  const marker = text[at].repeat(length);
  if (unclosed.has(marker)) return null;
  const from = at + length;
  const end = closingRun(text, from, marker);
  if (end < 0) unclosed.add(marker);
  return end < 0 ? null : { nodes: [emphasised(cursor, marker, text.slice(from, end), false)], end: end + length };
}

/** The position of the closing marker: not after a space, not inside code, and for `_` not inside a word. */
function closingRun(text, from, marker) {
  const runs = new RegExp(`\\\\.|\`[^\`]*\`|[${marker[0]}]+`, "gs");
  runs.lastIndex = from;
  for (let match; (match = runs.exec(text));) {
    const spare = match[0].length - marker.length;
    if (match[0][0] !== marker[0] || (spare !== 0 && match[0].length !== 3) || spare < 0) continue;
    const closes = match.index > from && !/\s/.test(text[match.index - 1]);
    const inWord = marker[0] === "_" && WORD.test(text[runs.lastIndex] ?? "");
    if (closes && !inWord) return match.index + spare;
  }
  return -1;
}

function unfinished(cursor, run) {
  const { text, at, open } = cursor;
  if (!open || WORD.test(text[at - 1] ?? "")) return null;
  return { nodes: [emphasised(cursor, run, text.slice(at + run.length), true)], end: text.length };
}

function emphasised({ names, depth }, marker, inner, open) {
  const nodes = inline(inner, names, open, depth + 1);
  const tags = marker[0] === "~" ? ["s"] : TAGS[marker.length];
  return tags.reduce((within, tag) => [el(tag, {}, within)], nodes)[0];
}

/** An image becomes a link, since the page must fetch nothing that a model chose. */
function image(cursor) {
  return cursor.text[cursor.at + 1] === "[" ? labelled({ ...cursor, at: cursor.at + 1 }) : null;
}

/** `[label](address "title")`. While it streams, only the label shows until the address is complete. */
function labelled(cursor) {
  const { text, at, names, open, depth } = cursor;
  const match = /^\[((?:[^[\]\\]|\\.|\[[^[\]]*\])*)\]\(\s*<?((?:[^\s()<>]|\([^\s()]*\))*)>?(?:\s+"[^"]*")?\s*\)/.exec(
    text.slice(at, at + 3000),
  );
  if (match && depth < MAX_DEPTH)
    return {
      nodes: [link(match[2], inline(match[1] || match[2], names, false, depth + 1))],
      end: at + match[0].length,
    };
  const partial = open ? /^\[([^[\]]*)\]\([^\s()]*$/.exec(text.slice(at)) : null;
  return partial && { nodes: inline(partial[1], names, false, MAX_DEPTH), end: text.length };
}

/** Slack's tokens work inside Markdown too, so they are rendered. Addresses become links. */
function angled({ text, at, names, open }) {
  const end = text.indexOf(">", at);
  const inner = text.slice(at + 1, end);
  if (end < 0) return open && /^<[!@#h][^\s]*$/.test(text.slice(at)) ? { nodes: [], end: text.length } : null;
  const node = /[\n<]/.test(inner)
    ? null
    : entity(/^[^\s@:|]+@[^\s@|]+$/.test(inner) ? `mailto:${inner}` : inner, names);
  return node && { nodes: [node], end: end + 1 };
}

function reference({ text, at }) {
  const match = /^&(?:(amp|lt|gt|quot|nbsp)|#(\d{1,6}));/.exec(text.slice(at, at + 10));
  if (!match) return null;
  return { nodes: [match[1] ? ENTITIES[match[1]] : String.fromCodePoint(Number(match[2]))], end: at + match[0].length };
}

/** A bare address, without the punctuation at the end of its sentence. */
function address({ text, at }) {
  const whole = /^https?:\/\/[^\s<>`|]+/.exec(text.slice(at, at + 2100))?.[0] ?? "";
  const target = whole.replace(/[.,;:!?'"*_~\]]+$|(?<!\([^()]*)\)+[.,;:!?]*$/, "");
  if (WORD.test(text[at - 1] ?? "") || !safeAddress(target)) return null;
  return { nodes: [link(target, target)], end: at + target.length };
}
