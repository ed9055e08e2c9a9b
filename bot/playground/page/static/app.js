/** The entry point: reads the workspace, builds the panes, and renders changes at most once per frame. */

import { Announcer } from "./announcer.js";
import { readWorkspace } from "./api.js";
import { ChannelPane } from "./channel.js";
import { Controller } from "./controller.js";
import { el } from "./dom.js";
import { Modal } from "./modal.js";
import { readPlace, writePlace } from "./place.js";
import { Sidebar } from "./sidebar.js";
import { State } from "./state.js";
import { ThreadPane } from "./thread.js";

const TOAST_MS = 4000; // how long a toast stays

class Page {
  constructor(workspace) {
    this.app = document.getElementById("app");
    this.state = new State(workspace, () => this.schedule());
    const controller = new Controller(this.state, this);
    this.sidebar = new Sidebar(document.getElementById("sidebar"), this.state, this.sidebarActions(controller));
    this.channel = new ChannelPane(document.getElementById("channel"), controller);
    this.thread = new ThreadPane(document.getElementById("thread"), controller);
    this.modal = new Modal(controller);
    const announcer = new Announcer(document.getElementById("announcer"), controller);
    controller.onChange = (change, before) => announcer.announceChange(change, before);
    this.toast = el("p", { class: "toast", role: "alert", hidden: true });
    document.body.append(this.toast, this.modal.element);
    document.addEventListener("keydown", (event) => {
      const above = document.querySelector(":popover-open, dialog[open]");
      if (event.key === "Escape" && this.state.thread && !above) controller.closeThread();
    });
    controller.start(readPlace(location.hash));
    this.render();
    this.channel.composer.focus();
  }

  sidebarActions(controller) {
    const open = (channel) => {
      controller.open(channel);
      this.leaveSidebar();
    };
    return { open, actAs: (person) => controller.actAs(person), closeMenu: () => this.closeSidebar() };
  }

  schedule() {
    this.frame ??= requestAnimationFrame(() => this.render());
  }

  render() {
    this.frame = null;
    const lostThread = !this.state.thread && this.threadHasFocus();
    this.app.classList.toggle("has-thread", this.state.thread !== null);
    this.sidebar.render();
    this.channel.render();
    this.thread.render();
    this.modal.render();
    if (lostThread) this.channel.composer.focus();
    document.title = `${this.state.place()?.name ?? "Playground"} · ${this.state.team.name}`;
    writePlace(this.state);
  }

  showToast(sentence) {
    this.toast.textContent = sentence;
    this.toast.hidden = false;
    clearTimeout(this.toastTimer);
    this.toastTimer = setTimeout(() => (this.toast.hidden = true), TOAST_MS);
  }

  threadHasFocus() {
    return this.thread.root.contains(document.activeElement);
  }

  threadIsIdle() {
    return !this.state.thread || (this.thread.composer.isEmpty && !this.threadHasFocus());
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
