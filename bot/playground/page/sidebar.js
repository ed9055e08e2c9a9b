/** The side: whose workspace this is, its channels, the bot, and as whom one acts. */

import { avatar } from "./avatar.js";
import { el, iconButton, renew } from "./dom.js";
import { icon } from "./icons.js";

/** `actions` has open(channel), actAs(person), closeMenu(). */
export class Sidebar {
  constructor(root, state, actions) {
    this.state = state;
    this.actions = actions;
    this.places = el("nav", { class: "places", "aria-label": "Channels" });
    this.people = el("fieldset", { class: "people", data: { testid: "act-as" } });
    const close = iconButton("Close the menu", icon("close"), () => actions.closeMenu(), { class: "icon-button only-narrow" });
    const head = el("header", { class: "team" }, el("h1", {}, state.team.name), close);
    root.replaceChildren(head, this.places, this.people);
    this.people.append(el("legend", {}, "You act as"), ...state.people.map((person) => this.person(person)));
    root.addEventListener("keydown", (event) => event.key === "Escape" && actions.closeMenu());
  }

  person(person) {
    const attributes = { type: "radio", name: "act-as", value: person.id, "aria-label": person.real_name, data: { person: person.id } };
    const radio = el("input", { ...attributes, onchange: () => this.actions.actAs(person.id) });
    const names = el("span", { class: "person-names" }, el("span", {}, person.real_name), el("span", { class: "aside" }, person.title));
    return el("label", { class: "person" }, radio, avatar(person), names);
  }

  render() {
    const [direct, ...others] = this.state.places().reverse();
    const channels = others.reverse();
    renew(this.places, [heading("Channels"), list(channels.map((place) => this.entry(place))), heading("Direct messages"), list([this.entry(direct)])]);
    for (const radio of this.people.querySelectorAll("input")) radio.checked = radio.value === this.state.as;
  }

  entry(place) {
    const { state } = this;
    const unread = state.unread.has(place.id);
    const current = place.id === state.channel ? "page" : null;
    const names = [sign(place, state), el("span", { class: "place-name" }, place.name), place.kind === "dm" && presence(state)];
    const dot = unread && el("span", { class: "dot", data: { testid: "unread" } }, el("span", { class: "unseen" }, "new messages"));
    const onclick = () => this.actions.open(place.id);
    const data = { channel: place.id, kind: place.kind };
    return el("button", { type: "button", class: unread ? "place place-unread" : "place", "aria-current": current, data, onclick }, names, dot);
  }
}

function heading(text) {
  return el("h2", {}, text);
}

function list(entries) {
  return el("ul", {}, entries.map((entry) => el("li", {}, entry)));
}

function sign(place, state) {
  if (place.kind === "dm") return avatar(state.person(state.bot.id), "avatar-small");
  const label = place.kind === "private" ? "private channel" : "channel";
  return el("span", { class: "sign" }, icon(place.kind === "private" ? "lock" : "hash"), el("span", { class: "unseen" }, label));
}

function presence({ connected }) {
  const label = connected ? "connected" : "not connected";
  return el("span", { class: `presence presence-${connected ? "on" : "off"}`, data: { testid: "presence" } }, label);
}
