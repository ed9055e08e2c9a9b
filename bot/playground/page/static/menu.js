/** A menu beside its button: arrow keys move, Enter chooses, Escape closes it and returns the focus. */

import { el } from "./dom.js";

const GAP = 4; // pixels between the menu and its button, and between the menu and the window's edge

/** Opens a menu of choices `{name, choose, detail?, danger?}` at `anchor`. */
export function openMenu(anchor, choices) {
  const menu = el("div", { class: "menu", role: "menu", popover: "auto", data: { testid: "menu" } });
  menu.append(...choices.map((choice) => entry(choice, menu)));
  menu.addEventListener("keydown", (event) => onKeyDown(event, menu));
  menu.addEventListener("toggle", (event) => event.newState === "closed" && onClosed(menu, anchor));
  document.body.append(menu);
  menu.showPopover();
  anchor.setAttribute("aria-expanded", "true");
  place(menu, anchor.getBoundingClientRect());
  menu.firstElementChild.focus();
}

function entry(choice, menu) {
  const onclick = () => {
    menu.hidePopover();
    choice.choose();
  };
  const detail = choice.detail && el("span", { class: "aside" }, choice.detail);
  const kind = choice.danger ? "menu-item menu-danger" : "menu-item";
  return el("button", { type: "button", class: kind, role: "menuitem", tabindex: "-1", onclick }, choice.name, detail);
}

function onKeyDown(event, menu) {
  const entries = [...menu.children];
  const at = entries.indexOf(document.activeElement);
  const next = { ArrowDown: at + 1, ArrowUp: at - 1 + entries.length, Home: 0, End: entries.length - 1 }[event.key];
  if (event.key === "Tab") menu.hidePopover();
  if (next === undefined) return;
  event.preventDefault();
  entries[next % entries.length].focus();
}

function onClosed(menu, anchor) {
  const hadFocus = menu.contains(document.activeElement) || document.activeElement === document.body;
  menu.remove();
  anchor.removeAttribute("aria-expanded");
  if (hadFocus) anchor.focus();
}

function place(menu, around) {
  const below = around.bottom + GAP + menu.offsetHeight < innerHeight;
  const top = below ? around.bottom + GAP : around.top - GAP - menu.offsetHeight;
  menu.style.top = `${Math.max(GAP, top)}px`;
  menu.style.left = `${Math.max(GAP, around.right - menu.offsetWidth)}px`;
}
