/** The main pane: the messages of a channel or of the direct messages with the bot, and a composer. */

import { Composer } from "./composer.js";
import { el, iconButton, updateChildren } from "./dom.js";
import { Home, Tabs } from "./home.js";
import { icon } from "./icons.js";
import { MessageList } from "./messages.js";
import { isReply } from "./state.js";
import { forPlace } from "./suggestions.js";

const RESTARTED = "The playground was restarted. It keeps messages in memory only, so the earlier ones are gone.";

export class ChannelPane {
  constructor(root, controller) {
    this.controller = controller;
    this.title = el("div", { class: "pane-title" });
    const menu = iconButton("Channels and people", icon("menu"), () => controller.openSidebar(), {
      class: "icon-button only-narrow",
      "data-testid": "open-sidebar",
    });
    this.notices = el("div", { class: "notices" });
    this.tabs = new Tabs(controller);
    this.home = new Home(controller);
    this.list = new MessageList(controller, "Messages", "messages");
    this.composer = new Composer(controller.state, (text, where) => controller.send(text, where), {
      id: "composer",
      testid: "composer",
    });
    root.replaceChildren(
      el("header", { class: "pane-head" }, menu, this.title, this.tabs.element),
      this.notices,
      this.home.element,
      this.list.element,
      this.composer.element,
    );
  }

  render() {
    const { state } = this.controller;
    const place = state.place();
    if (!place) return;
    const name = place.kind === "channel" || place.kind === "private" ? `#${place.name}` : place.name;
    updateChildren(this.title, [
      el("h2", {}, place.kind === "private" && icon("lock"), name),
      el("p", { class: "topic" }, place.topic),
    ]);
    updateChildren(this.notices, noticesOf(state));
    this.tabs.render(place);
    this.home.render();
    for (const part of [this.list, this.composer]) part.element.hidden = state.atHome;
    this.composer.show({ as: state.as, channel: place.id, thread: null }, `Message ${name}`);
    const rows = state.roots().map((message) => rowOf(message, state));
    this.list.show(
      `${state.as} ${place.id}`,
      rows,
      forPlace(state, place, (text) => this.composer.fill(text)),
    );
  }
}

function rowOf(message, state) {
  const inThread = isReply(message);
  const replies = state.replies(message.ts).filter((reply) => !reply.ephemeral);
  return {
    message,
    inThread: false,
    editing: state.editing === message.id && message.ts !== state.thread, // the thread pane edits its own root
    status: inThread ? "" : state.status(message.ts),
    replies: {
      count: message.reply_count,
      users: distinct(replies.map((reply) => reply.user)),
      last: replies.at(-1)?.ts,
    },
  };
}

function distinct(values) {
  return [...new Set(values)];
}

function noticesOf({ notice, online, restarted, connected, bot }) {
  if (!online)
    return [...noticeLines(notice), noticeLine("offline", "The playground is not responding. Reconnecting…")];
  const disconnected = connected
    ? []
    : [noticeLine("disconnected", `${bot.name} is not connected. It will get your messages once it is back.`)];
  return [...noticeLines(notice), ...(restarted ? [noticeLine("restarted", RESTARTED)] : []), ...disconnected];
}

function noticeLines(notice) {
  return notice ? [noticeLine("notice", notice)] : [];
}

function noticeLine(testid, sentence) {
  const bad = ["notice", "restarted"].includes(testid) ? "" : " notice-bad";
  return el("p", { class: `notice${bad}`, role: "status", data: { testid } }, icon("info"), el("span", {}, sentence));
}
