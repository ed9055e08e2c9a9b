/** Announcements for screen readers: a new message once it is complete, and that the bot is writing one. */

import { markdown } from "./render/markdown.js";
import { mrkdwn } from "./render/mrkdwn.js";

const MAX_LENGTH = 400; // characters of an announcement

export class Announcer {
  constructor(region, controller) {
    this.region = region;
    this.controller = controller;
  }

  /** Announces a change in the open channel, once the state has it. `before` is the message before the change. */
  announceChange(change, before) {
    const { state } = this.controller;
    if (change.type === "status" && change.text) this.announce(state.status(change.thread_ts));
    if (change.type === "message" && (!before || before.streaming)) this.announceMessage(change.message, state);
  }

  announceMessage(message, state) {
    if (message.streaming || message.user === state.as) return;
    this.announce(`${state.person(message.user).real_name}: ${this.plainText(message).slice(0, MAX_LENGTH)}`);
  }

  plainText({ format, text }) {
    const nodes = format === "markdown" ? markdown(text, this.controller.names) : mrkdwn(text, this.controller.names);
    return nodes.map((node) => node.textContent).join("\n");
  }

  announce(text) {
    this.region.textContent = text;
  }
}
