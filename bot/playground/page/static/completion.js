/** What a message box offers while one types: names after `@`, commands after a `/` at the start. */

import { avatar } from "./avatar.js";
import { el } from "./dom.js";
import { icon } from "./icons.js";

/** The offers for a text with the caret at `caret`: `{from, items: [{insert, title, detail, picture}]}`, or null. */
export function offers(text, caret, state) {
  const before = text.slice(0, caret);
  const command = /^\/[\w-]*$/.exec(before);
  if (command) return some(0, commands(command[0], state));
  const name = /(?:^|[\s(])@([\p{L}\p{N}._-]*)$/u.exec(before);
  return name ? some(caret - name[1].length - 1, names(name[1], state)) : null;
}

function some(from, items) {
  return items.length ? { from, items } : null;
}

function commands(start, state) {
  const known = state.commands.filter(({ command }) => command.startsWith(start));
  return known.map(({ command, description, usage_hint }) => ({
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

/** How the command that a text begins with is used, or null. */
export function usage(text, state) {
  const found = state.commands.find(({ command }) => text.startsWith(`${command} `));
  return found ? `${found.command} ${found.usage_hint ?? ""}` : null;
}

/** The list of offers above a message box; the box keeps the focus and says which offer is active. */
export class Offers {
  constructor(box, id, accept) {
    this.box = box;
    this.accept = accept;
    this.found = null;
    this.list = el("div", { class: "offers", role: "listbox", id, "aria-label": "Suggestions", hidden: true });
    for (const [name, value] of [
      ["role", "combobox"],
      ["aria-autocomplete", "list"],
      ["aria-controls", id],
      ["aria-expanded", "false"],
    ])
      box.setAttribute(name, value);
  }

  get isOpen() {
    return this.found !== null;
  }

  /** Whether the active offer is already typed in full: Enter then sends instead of completing. */
  get isTyped() {
    const { from, items } = this.found;
    return this.box.value.slice(from, this.box.selectionStart).toLowerCase() === items[this.at].insert.toLowerCase();
  }

  show(found) {
    this.found = found;
    this.at = 0;
    this.list.hidden = !found;
    this.list.replaceChildren(...(found?.items ?? []).map((item, at) => this.option(item, at)));
    this.box.setAttribute("aria-expanded", String(Boolean(found)));
    this.mark();
  }

  option(item, at) {
    const onmousedown = (event) => {
      event.preventDefault(); // the box keeps the focus
      this.at = at;
      this.take();
    };
    const title = el(
      "span",
      { class: "offer-title" },
      item.title,
      item.hint && el("span", { class: "offer-hint" }, ` ${item.hint}`),
    );
    return el(
      "div",
      { class: "offer", role: "option", id: `${this.list.id}-${at}`, onmousedown },
      item.picture(),
      title,
      el("span", { class: "aside" }, item.detail),
    );
  }

  move(by) {
    const count = this.found.items.length;
    this.at = (this.at + by + count) % count;
    this.mark();
  }

  mark() {
    [...this.list.children].forEach((option, at) => option.setAttribute("aria-selected", String(at === this.at)));
    const active = this.list.children[this.at];
    if (active) this.box.setAttribute("aria-activedescendant", active.id);
    else this.box.removeAttribute("aria-activedescendant");
    active?.scrollIntoView({ block: "nearest" });
  }

  take() {
    const { from, items } = this.found;
    const { insert } = items[this.at];
    this.show(null);
    this.accept(from, `${insert} `);
  }
}
