/** The side pane: the messages of one thread, and a composer for replies. */

import { Composer } from "./composer.js";
import { el, iconButton } from "./dom.js";
import { icon } from "./icons.js";
import { statusLine } from "./message.js";
import { MessageList } from "./messages.js";
import { forThread } from "./suggestions.js";

export class ThreadPane {
  constructor(root, controller) {
    this.root = root;
    this.controller = controller;
    this.where = el("p", { class: "topic" });
    const close = iconButton("Close the thread", icon("close"), () => controller.closeThread(), {
      "data-testid": "close-thread",
    });
    const title = el("div", { class: "pane-title" }, el("h2", {}, "Thread"), this.where);
    this.list = new MessageList(controller, "Thread", "thread-messages");
    this.composer = new Composer(controller.state, (...sent) => controller.send(...sent), {
      id: "thread-composer",
      testid: "thread-composer",
    });
    this.composer.attachments.acceptDrops(root);
    root.replaceChildren(el("header", { class: "pane-head" }, title, close), this.list.element, this.composer.element);
  }

  render() {
    const { state } = this.controller;
    const place = state.place();
    this.root.hidden = !state.thread || !place;
    if (this.root.hidden) return;
    const root = state.message(state.thread);
    const replies = state.replies(state.thread);
    this.where.textContent = place.kind === "dm" ? place.name : `#${place.name}`;
    this.composer.show({ as: state.as, channel: place.id, thread: state.thread }, "Reply…");
    const rows = [root, ...replies]
      .filter(Boolean)
      .map((message) => ({ message, inThread: true, editing: state.editing === message.id, status: "", replies: {} }));
    const status = state.status(state.thread);
    const stop = state.isStoppable(state.thread) ? () => this.controller.actions.stop(state.thread) : null;
    const after = [
      ...(status ? [statusLine(status, stop)] : []),
      ...forThread(state, state.thread, (text) => this.composer.fill(text)),
    ];
    this.list.show(`${state.as} ${place.id} ${state.thread}`, rows, after);
  }
}
