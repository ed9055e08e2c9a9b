/** One message: its author, its text, what hangs below it, and what can be done with it. */

import { avatar } from "./avatar.js";
import { arrange, el, iconButton, renew } from "./dom.js";
import { editor } from "./editor.js";
import { icon } from "./icons.js";
import { openMenu } from "./menu.js";
import { blocks } from "./render/blocks.js";
import { markdown } from "./render/markdown.js";
import { mrkdwn } from "./render/mrkdwn.js";
import { timeOf, wholeTimeOf, moment } from "./time.js";

const SYSTEM = /^(channel|group)_(join|leave|topic|purpose|name|archive)$|^tombstone$/; // subtypes of what nobody wrote
const ENDINGS =
  "p, ul, ol, li, blockquote, h3, h4, h5, h6, pre, figure, pre > code, div, table, tbody, tr:last-child, td";
const MOST_FACES = 3; // small pictures beside a reply count

/** The element of one message, renewed in place as the message changes. */
export class MessageView {
  constructor(message, desk) {
    this.desk = desk;
    this.face = el("div", { class: "message-side" });
    this.head = el("header", { class: "message-head" });
    this.text = el("div", { class: "text", data: { testid: "message-text" } });
    this.body = el("div", { class: "message-body" });
    this.foot = el("footer", { class: "message-foot" });
    this.bar = el("div", { class: "message-bar", role: "toolbar", "aria-label": "Message actions" });
    const content = el("div", { class: "message-content" }, this.head, this.body, this.foot);
    this.element = el("article", { tabindex: "-1", data: identity(message) }, this.face, content, this.bar);
    this.shown = null;
  }

  /** `row` has message, continued (same author as above), inThread, editing, status, replies. */
  update(row) {
    const shown = JSON.stringify(row);
    if (shown === this.shown) return;
    this.shown = shown;
    const { message } = row;
    const author = this.desk.state.person(message.user);
    Object.assign(this.element.dataset, { streaming: String(message.streaming), bot: String(message.is_bot) });
    this.element.className = classes(row);
    this.element.setAttribute("aria-label", `${author.real_name}, ${timeOf(message.ts)}`);
    renew(this.face, [row.continued ? time(message) : avatar(author)]);
    renew(this.head, head(row, author));
    renew(this.bar, bar(row, this.desk));
    renew(this.foot, foot(row, this.desk));
    this.updateBody(row);
  }

  updateBody({ message, editing }) {
    const form = editing ? (this.body.querySelector("form") ?? editor(message, this.desk)) : null;
    renew(this.text, text(message, this.desk));
    arrange(this.body, [form ?? this.text]); // what is being typed in the form stays
  }
}

function identity(message) {
  return { id: message.id, ts: message.ts, testid: message.ephemeral ? "ephemeral" : "message" };
}

function classes({ message, continued }) {
  const kinds = {
    "message-continued": continued,
    "message-ephemeral": message.ephemeral,
    "message-system": SYSTEM.test(message.subtype),
    "message-action": message.subtype === "me_message",
  };
  return ["message", ...Object.keys(kinds).filter((kind) => kinds[kind])].join(" ");
}

function time(message) {
  return el("time", { datetime: moment(message.ts).toISOString(), title: wholeTimeOf(message.ts) }, timeOf(message.ts));
}

function head({ message, continued }, author) {
  const onlyYou = message.ephemeral && el("p", { class: "only-you" }, icon("eye"), "Only visible to you");
  const broadcast = message.subtype === "thread_broadcast" && el("span", { class: "aside" }, "replied to a thread");
  const name = el("span", { class: "author" }, author.real_name);
  const line = el(
    "p",
    { class: "byline" },
    name,
    message.is_bot && el("span", { class: "badge" }, "App"),
    broadcast,
    time(message),
  );
  return [onlyYou, !continued && line].filter(Boolean);
}

function text(message, desk) {
  const body = el("div", {}, rendered(message, desk));
  const last = body.lastElementChild;
  if (message.edited) (last?.matches("p") ? last : body).append(el("span", { class: "aside" }, " (edited)"));
  if (message.streaming) lastText(body).append(el("span", { class: "caret" }));
  return [...body.childNodes];
}

function rendered(message, desk) {
  const press = (action) => desk.press(message, action);
  const fromBlocks = blocks(message.blocks, { names: desk.names, press });
  if (fromBlocks.length) return fromBlocks;
  if (message.format === "markdown") return markdown(message.text, desk.names, message.streaming);
  return mrkdwn(message.text, desk.names);
}

/** The innermost element in which the text written so far ends. */
function lastText(node) {
  const last = node.lastElementChild;
  return last?.matches(ENDINGS) ? lastText(last) : node;
}

function foot({ message, inThread, status, replies }, desk) {
  const link = !inThread && replies.count > 0 && replyLink(message, replies, desk);
  return [...message.files.map(fileLink), link, status && statusLine(status)].filter(Boolean);
}

function fileLink({ name, path }) {
  if (path === null) return el("p", { class: "aside" }, name);
  return el("p", {}, el("a", { href: path, download: name, data: { testid: "file" } }, name));
}

/** What the bot is doing in a thread just now, with Slack's Stop button where there is something to `stop`. */
export function statusLine(text, stop = null) {
  const dots = el("span", { class: "dots", "aria-hidden": "true" }, el("i"), el("i"), el("i"));
  const attributes = { type: "button", class: "button", data: { testid: "stop" }, onclick: stop };
  return el("p", { class: "status", data: { testid: "status" } }, dots, text, stop && el("button", attributes, "Stop"));
}

function replyLink(message, replies, desk) {
  const faces = replies.users.slice(0, MOST_FACES).map((user) => avatar(desk.state.person(user), "avatar-small"));
  const count = replies.count === 1 ? "1 reply" : `${replies.count} replies`;
  const last = replies.last && el("span", { class: "aside" }, `last at ${timeOf(replies.last)}`);
  const onclick = () => desk.openThread(message.ts);
  return el(
    "button",
    { type: "button", class: "reply-link", data: { testid: "reply-link" }, onclick },
    faces,
    el("span", {}, count),
    last,
  );
}

function bar({ message, inThread, continued, editing }, desk) {
  if (editing || message.ephemeral || SYSTEM.test(message.subtype)) return [];
  const toThread = () => desk.openThread(message.thread_ts ?? message.ts);
  const reply =
    !inThread && iconButton("Reply in thread", icon("reply"), toThread, { "data-testid": "reply-in-thread" });
  const onclick = (event) => openMenu(event.currentTarget, choices(message, desk));
  const more = iconButton("More actions", icon("more"), onclick, {
    "aria-haspopup": "menu",
    "data-testid": "more-actions",
  });
  const when = continued && el("span", { class: "unseen" }, timeOf(message.ts));
  return [when, reply, more].filter(Boolean);
}

function choices(message, desk) {
  const detail = desk.state.bot.name;
  const shortcut = ({ name, callback_id }) => ({ name, detail, choose: () => desk.shortcut(message, callback_id) });
  const shortcuts = desk.state.shortcuts.map(shortcut);
  const link = { name: "Copy link", choose: () => desk.copyLink(message) };
  if (message.user !== desk.state.as) return [...shortcuts, link];
  const edit = { name: "Edit message", choose: () => desk.state.edit(message.id) };
  const remove = { name: "Delete message", danger: true, choose: () => desk.remove(message) };
  return [...shortcuts, link, edit, remove];
}
