/** Suggestions of what to try next, as chips that fill the composer. */

import { avatar } from "./avatar.js";
import { el } from "./dom.js";

const HOW_IN_CHANNEL = "Mention it, and it answers in a thread. Replies there need no mention.";
const HOW_DIRECT = "Every message gets an answer in its own thread. Each thread is a separate conversation.";

/** Chips for a channel or direct messages in which nobody has addressed the bot yet, else nothing. */
export function forPlace(state, place, fill) {
  if (!state.messages.has(place.id)) return []; // not loaded yet
  const addressed = state.all().some((message) => message.is_bot || message.text.includes(`<@${state.bot.id}>`));
  if (addressed || (place.kind === "dm" && state.all().some((message) => !message.ephemeral))) return [];
  const title = place.kind === "dm" ? `Ask ${state.bot.name} anything` : `Meet ${state.bot.name}`;
  const how = place.kind === "dm" ? HOW_DIRECT : HOW_IN_CHANNEL;
  const intro = el(
    "div",
    { class: "intro" },
    avatar(state.person(state.bot.id)),
    el("div", {}, el("h2", {}, title), el("p", {}, how)),
  );
  return [card(title, intro, [...questions(state, place), ...commandChips(state)], fill)];
}

function questions({ bot }, { kind }) {
  const address = kind === "dm" ? "" : `@${bot.name} `;
  const how = kind === "dm" ? "Ask a question" : "Ask with a mention";
  return [
    { how, text: `${address}My VPN drops every ten minutes. What should I check?` },
    {
      how: "Ask for something longer",
      text: `${address}Show me a long answer, with a list, a table and some code.`,
    },
  ];
}

/** A chip for the shortest command, the easiest to try. */
function commandChips({ commands }) {
  const byLength = [...commands].sort((a, b) => a.command.length - b.command.length);
  return byLength
    .slice(0, 1)
    .map(({ command, description }) => ({ how: description || "Try a command", text: command }));
}

/** Chips for a thread whose first question the bot has just answered. */
export function forThread(state, root, fill) {
  const all = [state.message(root), ...state.replies(root)].filter((message) => message && !message.ephemeral);
  const last = all.at(-1);
  const people = all.filter((message) => !message.is_bot).length;
  if (!last?.is_bot || last.streaming || people > 1) return [];
  const chips = [
    { how: "Reply without a mention", text: "What did I ask you a moment ago?" },
    { how: "Start over", text: "!reset" },
  ];
  const title = "Continue the conversation here";
  return [card(title, el("h2", {}, title), chips, fill)];
}

function card(title, intro, chips, fill) {
  const buttons = chips.map(({ how, text }) => chip(how, text, () => fill(text)));
  return el(
    "section",
    { class: "suggestions", "aria-label": title, data: { testid: "suggestions" } },
    intro,
    el("div", { class: "chips" }, buttons),
  );
}

function chip(how, text, onclick) {
  return el(
    "button",
    { type: "button", class: "chip", onclick },
    el("span", { class: "chip-how" }, how),
    el("span", { class: "chip-text" }, text),
  );
}
