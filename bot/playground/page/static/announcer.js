/** Tells those who listen to the page what has arrived: an answer once it is whole, and that one is being written. */

import { markdown } from "./render/markdown.js";
import { mrkdwn } from "./render/mrkdwn.js";

const MOST_SAID = 400; // characters; the rest is there to be read

export class Announcer {
  constructor(region, desk) {
    this.region = region;
    this.desk = desk;
  }

  /** Call with each change heard in the open channel, after the state took it in; `before` is the message as it was. */
  hear(change, before) {
    const { state } = this.desk;
    if (change.type === "status" && change.text) this.say(state.status(change.thread_ts));
    if (change.type === "message" && (!before || before.streaming)) this.message(change.message, state);
  }

  message(message, state) {
    if (message.streaming || message.user === state.as) return;
    this.say(`${state.person(message.user).real_name}: ${this.plain(message).slice(0, MOST_SAID)}`);
  }

  plain({ format, text }) {
    const nodes = format === "markdown" ? markdown(text, this.desk.names) : mrkdwn(text, this.desk.names);
    return nodes.map((node) => node.textContent).join("\n");
  }

  say(text) {
    this.region.textContent = text;
  }
}
