/** The bot's Home tab, beside its direct messages. The acting person sees their own. */

import { el, updateChildren } from "./dom.js";
import { blocks } from "./render/blocks.js";

/** The two tabs above the direct messages with the bot. */
export class Tabs {
  constructor(controller) {
    this.controller = controller;
    this.element = el("div", { class: "tabs", role: "tablist", "aria-label": "Direct messages" });
    this.element.append(this.tab("Messages", false), this.tab("Home", true));
    this.element.addEventListener("keydown", (event) => this.onKeyDown(event));
  }

  tab(name, atHome) {
    const onclick = () => this.controller.openHome(atHome);
    return el("button", { type: "button", class: "tab", role: "tab", data: { home: String(atHome) }, onclick }, name);
  }

  onKeyDown(event) {
    if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
    const other = [...this.element.children].find((tab) => tab !== document.activeElement);
    other.focus();
    other.click();
  }

  render(place) {
    const { state } = this.controller;
    this.element.hidden = place.kind !== "dm" || !state.has_home;
    for (const tab of this.element.children) {
      const open = tab.dataset.home === String(state.atHome);
      tab.setAttribute("aria-selected", String(open));
      tab.tabIndex = open ? 0 : -1;
    }
  }
}

/** The content of the Home tab. */
export class Home {
  constructor(controller) {
    this.controller = controller;
    this.inner = el("div", { class: "text home-inner" });
    this.element = el("section", { class: "home", "aria-label": "Home", data: { testid: "home" } }, this.inner);
  }

  render() {
    const { state, names } = this.controller;
    this.element.hidden = !state.atHome;
    const view = JSON.stringify(state.views.home);
    if (this.element.hidden || view === this.shown) return;
    this.shown = view;
    const press = (action) => this.controller.actions.pressAtHome(action);
    const nothing = el("p", { class: "aside" }, `${state.bot.name} has not shown anything here yet.`);
    updateChildren(this.inner, state.views.home ? blocks(state.views.home.blocks, { names, press }) : [nothing]);
  }
}
