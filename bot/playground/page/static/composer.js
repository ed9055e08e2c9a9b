/** A composer: Enter sends, Shift+Enter starts a line, `@` and `/` are completed, and each place keeps its draft. */

import { Attachments } from "./attachments.js";
import { CompletionList, completionsOf, usage } from "./completion.js";
import { el, iconButton } from "./dom.js";
import { icon } from "./icons.js";

const MAX_HEIGHT = 220; // pixels

/** `send(text, where, files)` resolves when it was accepted, and rejects with an Error that the page can show. */
export class Composer {
  constructor(state, send, { id, testid }) {
    this.state = state;
    this.send = send;
    this.drafts = new Map(); // key of a place → its unsent text and files
    this.key = null;
    this.where = null;
    this.sending = Promise.resolve(); // messages are sent one after the other, to keep their order
    this.box = el("textarea", { id, rows: "1", data: { testid }, autocomplete: "off" });
    this.completions = new CompletionList(this.box, `${id}-completions`, (from, insert) => this.insert(from, insert));
    this.hint = el("p", { class: "composer-hint", hidden: true });
    this.problem = el("p", { class: "composer-problem", role: "alert", hidden: true });
    this.attachments = new Attachments(() => this.refresh(), testid);
    this.button = iconButton("Send", icon("send"), () => this.submit());
    this.element = el(
      "div",
      { class: "composer" },
      this.completions.list,
      this.problem,
      this.hint,
      this.attachments.element,
      el("div", { class: "composer-box" }, this.attachments.button, this.box, this.button, this.attachments.input),
    );
    this.attachments.acceptPastes(this.box);
    this.box.addEventListener("input", () => this.onInput());
    this.box.addEventListener("click", () => this.complete());
    this.box.addEventListener("keydown", (event) => this.onKeyDown(event));
    this.box.addEventListener("blur", () => this.completions.show(null));
  }

  /** Switches to a place, `{as, channel, thread}`. The draft of the previous place is kept. */
  show(where, label) {
    const key = JSON.stringify(where);
    this.box.setAttribute("aria-label", label);
    this.box.placeholder = label;
    if (key === this.key) return;
    this.where = where;
    if (this.key) this.drafts.set(this.key, this.draft);
    this.key = key;
    this.showProblem("");
    this.putDraft(this.drafts.get(key) ?? { text: "", files: [] });
  }

  get draft() {
    return { text: this.box.value, files: this.attachments.files };
  }

  putDraft({ text, files }) {
    this.write(text);
    this.attachments.put(files);
  }

  get isEmpty() {
    return !this.box.value.trim() && !this.attachments.files.length;
  }

  /** Puts a text into the box. The person can change it before sending. */
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
    this.refresh();
    this.completions.show(null);
  }

  onInput() {
    this.showProblem("");
    this.refresh();
    this.complete();
  }

  refresh() {
    this.box.style.height = "auto";
    this.box.style.height = `${Math.min(this.box.scrollHeight, MAX_HEIGHT)}px`;
    this.button.disabled = this.isEmpty;
    this.hint.textContent = usage(this.box.value, this.state) ?? "";
    this.hint.hidden = !this.hint.textContent;
  }

  complete() {
    this.completions.show(completionsOf(this.box.value, this.box.selectionStart, this.state));
  }

  insert(from, insert) {
    const { value, selectionStart } = this.box;
    const rest = value.slice(selectionStart).replace(/^ /, "");
    this.box.value = value.slice(0, from) + insert + rest;
    this.box.setSelectionRange(from + insert.length, from + insert.length);
    this.refresh();
  }

  onKeyDown(event) {
    if (event.isComposing) return;
    const act = this.completions.isOpen ? this.completionAction(event) : null;
    if (act) {
      event.preventDefault();
      event.stopPropagation();
      act();
    } else if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      this.submit();
    }
  }

  completionAction({ key, shiftKey }) {
    if (key === "Enter" && (shiftKey || this.completions.isTyped)) return null;
    const keys = {
      ArrowDown: () => this.completions.move(1),
      ArrowUp: () => this.completions.move(-1),
      Escape: () => this.completions.show(null),
    };
    return (
      {
        ...keys,
        Enter: () => this.completions.acceptActive(),
        Tab: shiftKey ? null : () => this.completions.acceptActive(),
      }[key] ?? null
    );
  }

  submit() {
    if (this.isEmpty) return;
    const { key, where } = this;
    const draft = { text: this.box.value.trim(), files: this.attachments.files };
    this.putDraft({ text: "", files: [] });
    this.sending = this.sending
      .then(() => this.send(draft.text, where, draft.files))
      .catch((error) => this.restore(key, draft, error));
  }

  /** Puts back what could not be sent, unless the person has typed something new there. */
  restore(key, draft, error) {
    if (key !== this.key) this.drafts.set(key, draft);
    else if (this.isEmpty) this.putDraft(draft);
    this.showProblem(error.message);
  }

  showProblem(sentence) {
    this.problem.textContent = sentence;
    this.problem.hidden = !sentence;
  }
}
