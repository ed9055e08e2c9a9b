/** A message box: Enter sends, Shift+Enter breaks the line, `@` and `/` are completed, drafts stay with their place. */

import { offers, Offers, usage } from "./completion.js";
import { el, iconButton } from "./dom.js";
import { icon } from "./icons.js";

const TALLEST = 220; // pixels

/** `send(text, where)` resolves when the text was taken, and rejects with an Error fit to be shown. */
export class Composer {
  constructor(state, send, { id, testid }) {
    this.state = state;
    this.send = send;
    this.drafts = new Map(); // key of a place → what was being typed there
    this.key = null;
    this.where = null;
    this.sending = Promise.resolve(); // one after the other, so that messages keep their order
    this.box = el("textarea", { id, rows: "1", data: { testid }, autocomplete: "off" });
    this.offers = new Offers(this.box, `${id}-offers`, (from, insert) => this.insert(from, insert));
    this.hint = el("p", { class: "composer-hint", hidden: true });
    this.problem = el("p", { class: "composer-problem", role: "alert", hidden: true });
    this.button = iconButton("Send", icon("send"), () => this.submit());
    this.element = el(
      "div",
      { class: "composer" },
      this.offers.list,
      this.problem,
      this.hint,
      el("div", { class: "composer-box" }, this.box, this.button),
    );
    this.box.addEventListener("input", () => this.typed());
    this.box.addEventListener("click", () => this.offer());
    this.box.addEventListener("keydown", (event) => this.keyed(event));
    this.box.addEventListener("blur", () => this.offers.show(null));
  }

  /** Turns to a place, `{as, channel, thread}`; what was typed at the last one waits there. */
  show(where, label) {
    const key = JSON.stringify(where);
    this.box.setAttribute("aria-label", label);
    this.box.placeholder = label;
    if (key === this.key) return;
    this.where = where;
    if (this.key) this.drafts.set(this.key, this.box.value);
    this.key = key;
    this.complain("");
    this.write(this.drafts.get(key) ?? "");
  }

  get isEmpty() {
    return !this.box.value.trim();
  }

  /** Puts a text into the box, ready to be sent or changed. */
  fill(text) {
    this.write(text);
    this.focus();
  }

  focus() {
    this.box.focus({ preventScroll: true });
    this.box.setSelectionRange(this.box.value.length, this.box.value.length);
  }

  write(text) {
    this.box.value = text;
    this.settle();
    this.offers.show(null);
  }

  typed() {
    this.complain("");
    this.settle();
    this.offer();
  }

  settle() {
    this.box.style.height = "auto";
    this.box.style.height = `${Math.min(this.box.scrollHeight, TALLEST)}px`;
    this.button.disabled = this.isEmpty;
    this.hint.textContent = usage(this.box.value, this.state) ?? "";
    this.hint.hidden = !this.hint.textContent;
  }

  offer() {
    this.offers.show(offers(this.box.value, this.box.selectionStart, this.state));
  }

  insert(from, insert) {
    const { value, selectionStart } = this.box;
    const rest = value.slice(selectionStart).replace(/^ /, "");
    this.box.value = value.slice(0, from) + insert + rest;
    this.box.setSelectionRange(from + insert.length, from + insert.length);
    this.settle();
  }

  keyed(event) {
    if (event.isComposing) return;
    const act = this.offers.isOpen ? this.keyInOffers(event) : null;
    if (act) {
      event.preventDefault();
      event.stopPropagation();
      act();
    } else if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      this.submit();
    }
  }

  keyInOffers({ key, shiftKey }) {
    if (key === "Enter" && (shiftKey || this.offers.isTyped)) return null;
    const keys = {
      ArrowDown: () => this.offers.move(1),
      ArrowUp: () => this.offers.move(-1),
      Escape: () => this.offers.show(null),
    };
    return { ...keys, Enter: () => this.offers.take(), Tab: shiftKey ? null : () => this.offers.take() }[key] ?? null;
  }

  submit() {
    const text = this.box.value.trim();
    if (!text) return;
    const { key, where } = this;
    this.write("");
    this.sending = this.sending.then(() => this.send(text, where)).catch((error) => this.giveBack(key, text, error));
  }

  /** What could not be sent is not lost, unless something new was typed there meanwhile. */
  giveBack(key, text, error) {
    if (key !== this.key) this.drafts.set(key, text);
    else if (this.isEmpty) this.write(text);
    this.complain(error.message);
  }

  complain(sentence) {
    this.problem.textContent = sentence;
    this.problem.hidden = !sentence;
  }
}
