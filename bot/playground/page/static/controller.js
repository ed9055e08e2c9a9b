/**
 * The page's controller: it opens places, sends messages, and puts the playground's changes into the state.
 * Rule: an action is shown only once the playground has confirmed it with a change.
 */

import { Actions } from "./actions.js";
import * as api from "./api.js";
import { isReply } from "./state.js";

const WIDE = "(min-width: 1001px)"; // the width from which layout.css puts the thread beside the channel

/** `page` has showToast(sentence), focusThread(), focusMessage(ts), threadHasFocus(), threadIsIdle(), openSidebar(). */
export class Controller {
  constructor(state, page) {
    this.state = state;
    this.page = page;
    this.actions = new Actions(state, (sentence) => page.showToast(sentence));
    this.names = namesIn(state);
    this.pendingRoot = null; // {ts} of the message just sent, whose thread opens when the bot starts to answer
    this.unsubscribe = () => {};
    this.onChange = () => {};
  }

  start({ as, channel, thread }) {
    const person = this.state.people.find(({ id }) => id === as) ?? this.state.people[0];
    this.actAs(person.id, channel, thread);
  }

  actAs(person, channel = this.state.channel, thread = null) {
    const { state } = this;
    const wasDirect = channel !== null && channel === state.dms[state.as];
    this.pendingRoot = null;
    this.unsubscribe();
    state.actAs(person);
    const place = state.place(wasDirect ? state.dms[person] : channel) ?? state.places()[0];
    state.open(place.id, place.id === channel ? thread : null);
    this.unsubscribe = api.subscribe(person, this.handlers()); // messages are read after it, so that none is missed
  }

  handlers() {
    return {
      open: () => {
        this.state.setOnline(true);
        this.refresh();
      },
      lost: () => this.state.setOnline(false),
      change: (change) => this.receive(change),
    };
  }

  /** Reads what may have changed while disconnected: the bot's connection, the views and the open channel. */
  async refresh() {
    await this.actions.attempt(async () => {
      this.state.connect(await api.readWorkspace());
    });
    const { as } = this.state;
    const views = async () => {
      const shown = await api.readViews(as);
      if (as === this.state.as) this.state.show(shown);
    };
    await Promise.all([this.actions.attempt(views), this.load(this.state.channel)]);
  }

  /** Opens the bot's Home tab, which sends the bot an event, or goes back to its messages. */
  async openHome(atHome) {
    this.state.openHome(atHome);
    if (atHome) await this.actions.attempt(() => api.openHome({ as: this.state.as }));
  }

  async open(channel, thread = null) {
    this.pendingRoot = null;
    this.state.open(channel, thread);
    await this.load(channel);
  }

  async load(channel) {
    const load = this.state.beginLoading(channel);
    const read = async () => this.state.loaded(load, await api.readMessages(channel, this.state.as));
    if (!(await this.actions.attempt(read))) this.state.abandonLoading(load);
  }

  receive(change) {
    const { state } = this;
    const channel = change.message?.channel ?? change.channel;
    const before = change.message ? state.find(channel, change.message.id) : null;
    state.apply(change);
    if (channel !== state.channel) return;
    this.onChange(change, before);
    this.openAnsweredThread(change, before);
  }

  /** Opens the thread of the message just sent once the bot starts to answer, unless another thread is in use. */
  openAnsweredThread(change, before) {
    if (!this.pendingRoot) return;
    if (!before && isRootOf(change, this.state.as)) this.pendingRoot.ts ??= change.message.ts;
    const root = answeredThread(change);
    if (root === null || root !== this.pendingRoot.ts) return;
    this.pendingRoot = null;
    if (matchMedia(WIDE).matches && this.page.threadIsIdle()) this.state.openThread(root);
  }

  /** Sends a text: a known command as a command, any other text as a message. Rejects when it is refused. */
  async send(text, { as, channel, thread }) {
    const where = { as, channel, ...(thread ? { thread_ts: thread } : {}) };
    const [word] = text.split(/\s/, 1);
    if (this.state.commands.some(({ command }) => command === word))
      return api.runCommand({ ...where, command: word, text: text.slice(word.length).trim() });
    if (!thread) this.pendingRoot = {};
    return api.sendMessage({ ...where, text });
  }

  openThread(root) {
    this.state.openThread(root);
    this.page.focusThread();
  }

  closeThread() {
    const root = this.state.thread;
    const focused = this.page.threadHasFocus();
    this.state.openThread(null);
    if (focused) this.page.focusMessage(root);
  }

  endEdit() {
    const message = this.state.all().find(({ id }) => id === this.state.editing);
    this.state.edit(null);
    if (message) this.page.focusMessage(message.ts);
  }

  async saveEdit(message, text) {
    if (await this.actions.edit(message, text)) this.endEdit();
  }

  openSidebar() {
    this.page.openSidebar();
  }
}

/** Whether this change is a new root of this person. */
function isRootOf({ type, message }, person) {
  return type === "message" && message.user === person && !message.ephemeral && !isReply(message);
}

/** The root of the thread in which the bot shows a status or answers, or null. */
function answeredThread({ type, message, thread_ts: root, text }) {
  if (type === "status") return text ? root : null;
  return type === "message" && message.is_bot && isReply(message) ? message.thread_ts : null;
}

/** The names behind ids, for the renderers. */
function namesIn(state) {
  const personOf = (id) =>
    id === state.bot.id || state.people.some((person) => person.id === id) ? state.person(id) : null;
  return {
    get me() {
      return state.as;
    },
    person: (id) => personOf(id)?.real_name ?? null,
    handle: (id) => personOf(id)?.name ?? null,
    channel: (id) => state.channels.find((channel) => channel.id === id)?.name ?? null,
  };
}
