/** A list of messages, grouped by author and day. It stays at its end unless scrolled up. Arrow keys move the focus. */

import { arrange, el, updateChildren } from "./dom.js";
import { icon } from "./icons.js";
import { MessageView } from "./message.js";
import { dayOf } from "./time.js";

const GROUP_WITHIN_S = 300; // messages of one author within this time stand under one name
const NEAR_END = 48; // pixels from the end that still count as the end

/** `element` is the list's element, `show` updates it. */
export class MessageList {
  constructor(controller, label, testid) {
    this.controller = controller;
    this.views = new Map();
    this.days = new Map();
    this.key = null;
    this.atEnd = true;
    this.inner = el("div", { class: "messages-inner" });
    this.after = el("div", { class: "messages-after" });
    this.scroller = el("div", { class: "messages", role: "region", "aria-label": label, data: { testid } }, this.inner);
    this.jump = el(
      "button",
      { type: "button", class: "jump", hidden: true, onclick: () => this.toEnd() },
      icon("down"),
      "New messages",
    );
    this.element = el("div", { class: "messages-frame" }, this.scroller, this.jump);
    this.scroller.addEventListener("scroll", () => this.onScroll());
    this.scroller.addEventListener("keydown", (event) => this.onKeyDown(event));
    this.scroller.addEventListener("focusin", (event) => this.makeTabStop(event.target.closest(".message")));
    const keepAtEnd = new ResizeObserver(() => this.atEnd && this.toEnd());
    [this.scroller, this.inner].forEach((box) => keepAtEnd.observe(box));
  }

  /** Shows the rows (see MessageView.update) of the place `key`, and the nodes `after` below them. */
  show(key, rows, after = []) {
    const other = key !== this.key;
    const last = rows.at(-1)?.message.id;
    if (other) this.reset(key);
    const nodes = rows.flatMap((row, at) => this.nodesFor(row, rows[at - 1]));
    updateChildren(this.after, after);
    arrange(this.inner, [...nodes, this.after]);
    if (other || this.atEnd) this.toEnd();
    else if (last !== this.last) this.jump.hidden = false;
    this.last = last;
    this.keepOneTabStop();
  }

  reset(key) {
    this.key = key;
    this.views.clear();
    this.days.clear();
    this.atEnd = true;
  }

  nodesFor(row, above) {
    const day = dayOf(row.message.ts, new Date());
    const newDay = !above || dayOf(above.message.ts, new Date()) !== day;
    const view = this.view(row.message);
    view.update({ ...row, continued: !newDay && continues(row.message, above.message) });
    return newDay ? [this.dayLine(day), view.element] : [view.element];
  }

  view(message) {
    if (!this.views.has(message.id)) this.views.set(message.id, new MessageView(message, this.controller));
    return this.views.get(message.id);
  }

  dayLine(day) {
    if (!this.days.has(day))
      this.days.set(day, el("div", { class: "day", role: "separator", "aria-label": day }, el("span", {}, day)));
    return this.days.get(day);
  }

  toEnd() {
    this.scroller.scrollTop = this.scroller.scrollHeight;
    this.onScroll();
  }

  onScroll() {
    const { scrollHeight, scrollTop, clientHeight } = this.scroller;
    this.atEnd = scrollHeight - scrollTop - clientHeight < NEAR_END;
    if (this.atEnd) this.jump.hidden = true;
  }

  onKeyDown(event) {
    const elements = this.elements();
    const at = elements.indexOf(document.activeElement);
    const next = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: elements.length - 1 }[event.key];
    if (at < 0 || next === undefined || !elements[next]) return;
    event.preventDefault();
    elements[next].focus();
  }

  elements() {
    return [...this.inner.querySelectorAll(":scope > .message")];
  }

  keepOneTabStop() {
    const elements = this.elements();
    if (!elements.some((element) => element.tabIndex === 0)) this.makeTabStop(elements.at(-1));
  }

  makeTabStop(message) {
    if (message) this.elements().forEach((element) => (element.tabIndex = element === message ? 0 : -1));
  }
}

function continues(message, above) {
  const plain = [message, above].every(({ ephemeral, subtype }) => !ephemeral && !subtype);
  return (
    plain &&
    message.user === above.user &&
    above.reply_count === 0 &&
    Number(message.ts) - Number(above.ts) < GROUP_WITHIN_S
  );
}
