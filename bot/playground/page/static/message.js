/** One message: its author, its text, its files and replies, and its menu. */

import { avatar } from "./avatar.js";
import { arrange, el, iconButton, updateChildren } from "./dom.js";
import { editor } from "./editor.js";
import { icon } from "./icons.js";
import { openMenu } from "./menu.js";
import { attachments } from "./render/attachments.js";
import { blocks } from "./render/blocks.js";
import { fileOf } from "./render/files.js";
import { markdown } from "./render/markdown.js";
import { mrkdwn } from "./render/mrkdwn.js";
import { timeOf, wholeTimeOf, moment } from "./time.js";

const SYSTEM = /^(channel|group)_(join|leave|topic|purpose|name|archive)$|^tombstone$/; // subtypes without author
const ENDINGS =
  "p, ul, ol, li, blockquote, h3, h4, h5, h6, pre, figure, pre > code, div, table, tbody, tr:last-child, td";
const MAX_FACES = 3; // avatars beside a reply count

/** The element of one message. It is updated in place as the message changes. */
export class MessageView {
  constructor(message, controller) {
    this.controller = controller;
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
    const author = this.controller.state.person(message.user);
    Object.assign(this.element.dataset, { streaming: String(message.streaming), bot: String(message.is_bot) });
    this.element.className = classes(row);
    this.element.setAttribute("aria-label", `${author.real_name}, ${timeOf(message.ts)}`);
    updateChildren(this.face, [row.continued ? time(message) : avatar(author)]);
    updateChildren(this.head, head(row, author));
    updateChildren(this.bar, bar(row, this.controller));
    updateChildren(this.foot, foot(row, this.controller));
    this.updateBody(row);
  }

  updateBody({ message, editing }) {
    const form = editing ? (this.body.querySelector("form") ?? editor(message, this.controller)) : null;
    updateChildren(this.text, text(message, this.controller));
    arrange(this.body, [form ?? this.text]); // an open form keeps what the person is typing
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

function text(message, controller) {
  const body = el("div", {}, rendered(message, controller));
  const last = body.lastElementChild;
  if (message.edited) (last?.matches("p") ? last : body).append(el("span", { class: "aside" }, " (edited)"));
  if (message.streaming) lastText(body).append(el("span", { class: "caret" }));
  return [...body.childNodes];
}

function rendered(message, controller) {
  const press = (action) => controller.actions.press(message, action);
  const attached = attachments(message.attachments, controller.names, (file) => fileOf(file, message, controller.state.as));
  const fromBlocks = blocks(message.blocks, { names: controller.names, press });
  if (fromBlocks.length) return [...fromBlocks, ...attached];
  if (message.format === "markdown") return markdown(message.text, controller.names, message.streaming, !message.raw_tables);
  return [...mrkdwn(message.text, controller.names), ...attached];
}

/** The innermost element at the end of the text, where the caret goes. */
function lastText(node) {
  const last = node.lastElementChild;
  return last?.matches(ENDINGS) ? lastText(last) : node;
}

function foot({ message, inThread, status, replies }, controller) {
  const link = !inThread && replies.count > 0 && replyLink(message, replies, controller);
  return [...message.files.map((file) => fileOf(file, message, controller.state.as)), link, status && statusLine(status)].filter(Boolean);
}

/** The bot's status in a thread, with Slack's Stop button if `stop` is given. */
export function statusLine(text, stop = null) {
  const dots = el("span", { class: "dots", "aria-hidden": "true" }, el("i"), el("i"), el("i"));
  const attributes = { type: "button", class: "button", data: { testid: "stop" }, onclick: stop };
  return el("p", { class: "status", data: { testid: "status" } }, dots, text, stop && el("button", attributes, "Stop"));
}

function replyLink(message, replies, controller) {
  const faces = replies.users.slice(0, MAX_FACES).map((user) => avatar(controller.state.person(user), "avatar-small"));
  const count = replies.count === 1 ? "1 reply" : `${replies.count} replies`;
  const last = replies.last && el("span", { class: "aside" }, `last at ${timeOf(replies.last)}`);
  const onclick = () => controller.openThread(message.ts);
  return el(
    "button",
    { type: "button", class: "reply-link", data: { testid: "reply-link" }, onclick },
    faces,
    el("span", {}, count),
    last,
  );
}

function bar({ message, inThread, continued, editing }, controller) {
  if (editing || message.ephemeral || SYSTEM.test(message.subtype)) return [];
  const toThread = () => controller.openThread(message.thread_ts ?? message.ts);
  const reply =
    !inThread && iconButton("Reply in thread", icon("reply"), toThread, { "data-testid": "reply-in-thread" });
  const onclick = ({ currentTarget }) => openMenu(currentTarget, choices(message, controller, currentTarget));
  const more = iconButton("More actions", icon("more"), onclick, {
    "aria-haspopup": "menu",
    "data-testid": "more-actions",
  });
  const when = continued && el("span", { class: "unseen" }, timeOf(message.ts));
  return [when, reply, more].filter(Boolean);
}

function choices(message, controller, anchor) {
  const detail = controller.state.bot.name;
  const shortcut = ({ name, callback_id }) => ({
    name,
    detail,
    choose: () => controller.actions.shortcut(message, callback_id),
  });
  const shortcuts = controller.state.shortcuts.map(shortcut);
  const copy = { name: "Copy link", choose: () => controller.actions.copyLink(message) };
  const places = () => controller.state.places().map((place) => ({ name: place.name, choose: to(place) }));
  const to = (place) => () => controller.actions.forward(message, place);
  const link = [{ name: "Forward message…", choose: () => openMenu(anchor, places()) }, copy];
  if (message.user !== controller.state.as) return [...shortcuts, ...link];
  const edit = { name: "Edit message", choose: () => controller.state.edit(message.id) };
  const remove = { name: "Delete message", danger: true, choose: () => controller.actions.remove(message) };
  return [...shortcuts, ...link, edit, remove];
}
