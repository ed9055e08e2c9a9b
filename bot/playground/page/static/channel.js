/** The main pane: a channel or the direct messages with the bot, its messages, and the box to write in. */

import { Composer } from "./composer.js";
import { el, iconButton, renew } from "./dom.js";
import { Home, Tabs } from "./home.js";
import { icon } from "./icons.js";
import { MessageList } from "./messages.js";
import { isReply } from "./state.js";
import { forPlace } from "./suggestions.js";

export class ChannelPane {
  constructor(root, desk) {
    this.desk = desk;
    this.title = el("div", { class: "pane-title" });
    const menu = iconButton("Channels and people", icon("menu"), () => desk.openSidebar(), {
      class: "icon-button only-narrow",
      "data-testid": "open-sidebar",
    });
    this.notices = el("div", { class: "notices" });
    this.tabs = new Tabs(desk);
    this.home = new Home(desk);
    this.list = new MessageList(desk, "Messages", "messages");
    this.composer = new Composer(desk.state, (text, where) => desk.send(text, where), {
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
    const { state } = this.desk;
    const place = state.place();
    if (!place) return;
    const name = place.kind === "channel" || place.kind === "private" ? `#${place.name}` : place.name;
    renew(this.title, [
      el("h2", {}, place.kind === "private" && icon("lock"), name),
      el("p", { class: "topic" }, place.topic),
    ]);
    renew(this.notices, notices(state));
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
    editing: state.editing === message.id && message.ts !== state.thread, // else it is edited in the thread
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

function notices({ notice, online, connected, bot }) {
  if (!online)
    return [...standing(notice), line("offline", "The playground does not answer. Trying to reach it again…")];
  const away = connected ? [] : [line("disconnected", `${bot.name} is not connected. What you write waits for it.`)];
  return [...standing(notice), ...away];
}

function standing(notice) {
  return notice ? [line("notice", notice)] : [];
}

function line(testid, sentence) {
  const bad = testid === "notice" ? "" : " notice-bad";
  return el("p", { class: `notice${bad}`, role: "status", data: { testid } }, icon("info"), el("span", {}, sentence));
}
