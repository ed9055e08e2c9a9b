/** The sidebar: the workspace, its channels, the bot, and the choice of the acting person. */

import { avatar } from "./avatar.js";
import { arrange, el, iconButton, updateChildren } from "./dom.js";
import { icon } from "./icons.js";

/** `actions` has open(channel), actAs(person), and closeMenu(), which returns whether it was open. */
export class Sidebar {
  constructor(root, state, actions) {
    this.state = state;
    this.actions = actions;
    this.entries = new Map(); // place → its element, which is updated in place so that it keeps the focus
    this.channels = el("ul");
    this.directs = el("ul");
    this.places = el(
      "nav",
      { class: "places", "aria-label": "Channels" },
      heading("Channels"),
      this.channels,
      heading("Direct messages"),
      this.directs,
    );
    this.people = el("fieldset", { class: "people", data: { testid: "act-as" } });
    const close = iconButton("Close the menu", icon("close"), () => actions.closeMenu(), {
      class: "icon-button only-narrow",
    });
    const head = el("header", { class: "team" }, el("h1", {}, state.team.name), close);
    const inspector = el("a", { class: "inspector-link", href: "/inspector", target: "_blank" }, "Inspect the traffic");
    root.replaceChildren(head, this.places, this.people, inspector);
    this.people.append(el("legend", {}, "You act as"), ...state.people.map((person) => this.person(person)));
    root.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && actions.closeMenu()) event.stopPropagation(); // one Escape closes one thing
    });
  }

  person(person) {
    const attributes = {
      type: "radio",
      name: "act-as",
      value: person.id,
      "aria-label": person.real_name,
      data: { person: person.id },
    };
    const radio = el("input", { ...attributes, onchange: () => this.actions.actAs(person.id) });
    const names = el(
      "span",
      { class: "person-names" },
      el("span", {}, person.real_name),
      el("span", { class: "aside" }, person.title),
    );
    return el("label", { class: "person" }, radio, avatar(person), names);
  }

  render() {
    const places = this.state.places();
    const of = (direct) => places.filter(({ kind }) => (kind === "dm") === direct).map((place) => this.entry(place));
    arrange(this.channels, of(false));
    arrange(this.directs, of(true));
    for (const radio of this.people.querySelectorAll("input")) radio.checked = radio.value === this.state.as;
  }

  entry(place) {
    const { state } = this;
    const unread = state.unread.has(place.id);
    const item = this.item(place);
    const button = item.firstElementChild;
    button.classList.toggle("place-unread", unread);
    if (place.id === state.channel) button.setAttribute("aria-current", "page");
    else button.removeAttribute("aria-current");
    updateChildren(
      button,
      [
        sign(place, state),
        el("span", { class: "place-name" }, place.name),
        place.kind === "dm" && presence(state),
        unread && dot(),
      ].filter(Boolean),
    );
    return item;
  }

  item(place) {
    if (this.entries.has(place.id)) return this.entries.get(place.id);
    const onclick = () => this.actions.open(place.id);
    const button = el("button", {
      type: "button",
      class: "place",
      data: { channel: place.id, kind: place.kind },
      onclick,
    });
    this.entries.set(place.id, el("li", {}, button));
    return this.entries.get(place.id);
  }
}

function heading(text) {
  return el("h2", {}, text);
}

function dot() {
  return el("span", { class: "dot", data: { testid: "unread" } }, el("span", { class: "unseen" }, "new messages"));
}

function sign(place, state) {
  if (place.kind === "dm") return avatar(state.person(state.bot.id), "avatar-small");
  const label = place.kind === "private" ? "private channel" : "channel";
  return el(
    "span",
    { class: "sign" },
    icon(place.kind === "private" ? "lock" : "hash"),
    el("span", { class: "unseen" }, label),
  );
}

function presence({ online, connected }) {
  const label = online && connected ? "online" : "offline";
  return el("span", { class: `presence presence-${label === "online" ? "on" : "off"}`, data: { testid: "presence" } }, label);
}
