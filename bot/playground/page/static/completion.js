/** Completion in a composer: names after `@`, and commands after a `/` at the start. */

import { avatar } from "./avatar.js";
import { el } from "./dom.js";
import { icon } from "./icons.js";

/** The completions at a caret: `{from, items: [{insert, title, detail, picture}]}`, or null. */
export function completionsOf(text, caret, state) {
  const before = text.slice(0, caret);
  const command = /^\/[\w-]*$/.exec(before);
  if (command) return someOrNull(0, commands(command[0], state));
  const name = /(?:^|[\s(])@([\p{L}\p{N}._-]*)$/u.exec(before);
  return name ? someOrNull(caret - name[1].length - 1, names(name[1], state)) : null;
}

function someOrNull(from, items) {
  return items.length ? { from, items } : null;
}

function commands(start, state) {
  const matching = state.commands.filter(({ command }) => command.startsWith(start));
  return matching.map(({ command, description, usage_hint }) => ({
    insert: command,
    title: command,
    hint: usage_hint,
    detail: description,
    picture: () => icon("bell"),
  }));
}

function names(start, state) {
  const everyone = [state.person(state.bot.id), ...state.people];
  const fits = (person) =>
    [person.name, ...person.real_name.split(" ")].some((name) => name.toLowerCase().startsWith(start.toLowerCase()));
  return everyone.filter(fits).map((person) => ({
    insert: `@${person.name}`,
    title: person.real_name,
    detail: person.title ?? "App",
    picture: () => avatar(person, "avatar-small"),
  }));
}

/** The usage hint of the command at the start of a text, or null. */
export function usage(text, state) {
  const used = state.commands.find(({ command }) => text.startsWith(`${command} `));
  return used ? `${used.command} ${used.usage_hint ?? ""}` : null;
}

/** The list of completions above a composer. The box keeps the focus and names the active completion. */
export class CompletionList {
  constructor(box, id, accept) {
    this.box = box;
    this.accept = accept;
    this.shown = null;
    this.list = el("div", { class: "completions", role: "listbox", id, "aria-label": "Suggestions", hidden: true });
    for (const [name, value] of [
      ["role", "combobox"],
      ["aria-autocomplete", "list"],
      ["aria-controls", id],
      ["aria-expanded", "false"],
    ])
      box.setAttribute(name, value);
  }

  get isOpen() {
    return this.shown !== null;
  }

  /** Whether the active completion is already typed in full, so that Enter sends instead of completing. */
  get isTyped() {
    const { from, items } = this.shown;
    return this.box.value.slice(from, this.box.selectionStart).toLowerCase() === items[this.at].insert.toLowerCase();
  }

  show(completions) {
    this.shown = completions;
    this.at = 0;
    this.list.hidden = !completions;
    this.list.replaceChildren(...(completions?.items ?? []).map((item, at) => this.option(item, at)));
    this.box.setAttribute("aria-expanded", String(Boolean(completions)));
    this.markActive();
  }

  option(item, at) {
    const onmousedown = (event) => {
      event.preventDefault(); // the box keeps the focus
      this.at = at;
      this.acceptActive();
    };
    const title = el(
      "span",
      { class: "completion-title" },
      item.title,
      item.hint && el("span", { class: "completion-hint" }, ` ${item.hint}`),
    );
    return el(
      "div",
      { class: "completion", role: "option", id: `${this.list.id}-${at}`, onmousedown },
      item.picture(),
      title,
      el("span", { class: "aside" }, item.detail),
    );
  }

  move(by) {
    const count = this.shown.items.length;
    this.at = (this.at + by + count) % count;
    this.markActive();
  }

  markActive() {
    [...this.list.children].forEach((option, at) => option.setAttribute("aria-selected", String(at === this.at)));
    const active = this.list.children[this.at];
    if (active) this.box.setAttribute("aria-activedescendant", active.id);
    else this.box.removeAttribute("aria-activedescendant");
    active?.scrollIntoView({ block: "nearest" });
  }

  acceptActive() {
    const { from, items } = this.shown;
    const { insert } = items[this.at];
    this.show(null);
    this.accept(from, `${insert} `);
  }
}
