/**
 * Renders Slack's tokens in angle brackets: people, channels, pings, links.
 * Source: https://docs.slack.dev/messaging/formatting-message-text
 */

import { el } from "../dom.js";
import { safeAddress, link } from "./links.js";

const ESCAPES = { "&amp;": "&", "&lt;": "<", "&gt;": ">" };

/** Undoes Slack's three escapes once. */
export function unescaped(text) {
  return text.replace(/&(?:amp|lt|gt);/g, (escape) => ESCAPES[escape]);
}

/**
 * The node for the content of `<` and `>`, or null when it is not a token of Slack's.
 * `names` has `person(id)` and `channel(id)`, which return a name or null, and `me`.
 */
export function entity(inner, names) {
  const [target, label] = halves(inner);
  if (/^@[UW][A-Z0-9]+$/.test(target)) return mention(target.slice(1), names);
  if (/^#[CG][A-Z0-9]+$/.test(target)) return channel(target.slice(1), label, names);
  if (target.startsWith("!")) return special(target.slice(1), label);
  const address = unescaped(target);
  return safeAddress(address) ? link(address, unescaped(label ?? target.replace(/^mailto:/, ""))) : null;
}

function halves(inner) {
  const bar = inner.indexOf("|");
  return bar < 0 ? [inner, null] : [inner.slice(0, bar), inner.slice(bar + 1)];
}

function mention(id, names) {
  const mine = id === names.me ? " pill-me" : "";
  return el("span", { class: `pill${mine}`, data: { person: id } }, `@${names.person(id) ?? id}`);
}

function channel(id, label, names) {
  return el("span", { class: "pill" }, `#${names.channel(id) ?? label ?? "private-channel"}`);
}

function special(name, label) {
  if (/^(channel|here|everyone|group)$/i.test(name))
    return el("span", { class: "pill pill-ping", title: "This pings everybody" }, `@${name}`);
  if (name.startsWith("subteam^"))
    return el("span", { class: "pill pill-ping", title: "This pings a group" }, label ?? "@group");
  if (name.startsWith("date^") && label) return el("span", {}, unescaped(label));
  return null;
}

/** The text as its author typed it, with names and plain addresses in place of tokens. */
export function asTyped(text, names) {
  return unescaped(
    text.replace(/<([^<>\n]+)>/g, (whole, inner) => {
      const [target, label] = halves(inner);
      if (target.startsWith("@")) return `@${names.handle(target.slice(1)) ?? target.slice(1)}`;
      if (target.startsWith("#")) return `#${names.channel(target.slice(1)) ?? label ?? target.slice(1)}`;
      if (target.startsWith("!")) return label ?? `@${target.slice(1)}`;
      return target.replace(/^mailto:/, "");
    }),
  );
}
