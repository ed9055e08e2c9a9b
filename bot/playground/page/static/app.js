/** The page's start: reads the workspace, builds the panes, and shows every change once per frame. */

import { Announcer } from "./announcer.js";
import { readWorkspace } from "./api.js";
import { ChannelPane } from "./channel.js";
import { Desk } from "./desk.js";
import { el } from "./dom.js";
import { Modal } from "./modal.js";
import { readPlace, writePlace } from "./place.js";
import { Sidebar } from "./sidebar.js";
import { State } from "./state.js";
import { ThreadPane } from "./thread.js";

const TOLD_MS = 4000; // how long a passing sentence stays

class Page {
  constructor(workspace) {
    this.app = document.getElementById("app");
    this.state = new State(workspace, () => this.schedule());
    const desk = new Desk(this.state, this);
    this.sidebar = new Sidebar(document.getElementById("sidebar"), this.state, this.sidebarActions(desk));
    this.channel = new ChannelPane(document.getElementById("channel"), desk);
    this.thread = new ThreadPane(document.getElementById("thread"), desk);
    this.modal = new Modal(desk);
    const announcer = new Announcer(document.getElementById("announcer"), desk);
    desk.onHeard = (change, before) => announcer.hear(change, before);
    this.toast = el("p", { class: "toast", role: "alert", hidden: true });
    document.body.append(this.toast, this.modal.element);
    document.addEventListener("keydown", (event) => {
      const above = document.querySelector(":popover-open, dialog[open]");
      if (event.key === "Escape" && this.state.thread && !above) desk.closeThread();
    });
    desk.start(readPlace(location.hash));
    this.render();
    this.channel.composer.focus();
  }

  sidebarActions(desk) {
    const open = (channel) => {
      desk.open(channel);
      this.leaveSidebar();
    };
    return { open, actAs: (person) => desk.actAs(person), closeMenu: () => this.closeSidebar() };
  }

  schedule() {
    this.frame ??= requestAnimationFrame(() => this.render());
  }

  render() {
    this.frame = null;
    this.app.classList.toggle("has-thread", this.state.thread !== null);
    this.sidebar.render();
    this.channel.render();
    this.thread.render();
    this.modal.render();
    document.title = `${this.state.place()?.name ?? "Playground"} · ${this.state.team.name}`;
    writePlace(this.state);
  }

  tell(sentence) {
    this.toast.textContent = sentence;
    this.toast.hidden = false;
    clearTimeout(this.telling);
    this.telling = setTimeout(() => (this.toast.hidden = true), TOLD_MS);
  }

  threadHasFocus() {
    return this.thread.root.contains(document.activeElement);
  }

  threadIsIdle() {
    return this.thread.composer.isEmpty && !this.threadHasFocus();
  }

  focusThread() {
    this.render();
    this.thread.composer.focus();
  }

  focusMessage(ts) {
    this.render();
    const all = [...this.app.querySelectorAll(`.message[data-ts="${CSS.escape(ts)}"]`)];
    const message = all.find((element) => element.checkVisibility({ visibilityProperty: true }));
    (message?.querySelector(".reply-link") ?? message ?? this.channel.composer.box).focus();
  }

  openSidebar() {
    this.app.classList.add("menu-open");
    this.sidebar.places.querySelector("[aria-current]")?.focus();
  }

  closeSidebar() {
    const open = this.app.classList.contains("menu-open");
    if (open) this.leaveSidebar();
    return open;
  }

  leaveSidebar() {
    this.app.classList.remove("menu-open");
    this.channel.composer.focus();
  }
}

async function start() {
  try {
    new Page(await readWorkspace());
  } catch (error) {
    document.getElementById("channel").replaceChildren(el("p", { class: "fatal", role: "alert" }, error.message));
    throw error;
  }
}

start();
