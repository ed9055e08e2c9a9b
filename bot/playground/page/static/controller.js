/**
 * The actions of the page. Actions go to the playground, and its changes go into the state.
 * Rule: an action is shown only once the playground has confirmed it with a change.
 */

import * as api from "./api.js";
import { isReply } from "./state.js";

const WIDE = "(min-width: 1001px)"; // the width from which layout.css puts the thread beside the channel

/** `page` has showToast(sentence), focusThread(), focusMessage(ts), threadHasFocus(), threadIsIdle(), openSidebar(). */
export class Controller {
  constructor(state, page) {
    this.state = state;
    this.page = page;
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
    await this.attempt(async () => {
      const { connected, notice } = await api.readWorkspace();
      Object.assign(this.state, { connected, notice });
    });
    const { as } = this.state;
    const views = async () => {
      const shown = await api.readViews(as);
      if (as === this.state.as) this.state.show(shown);
    };
    await Promise.all([this.attempt(views), this.load(this.state.channel)]);
  }

  /** Opens the bot's Home tab, which sends the bot an event, or goes back to its messages. */
  async openHome(atHome) {
    this.state.openHome(atHome);
    if (atHome) await this.attempt(() => api.openHome({ as: this.state.as }));
  }

  pressAtHome({ action_id }) {
    const { as, views } = this.state;
    return this.attempt(() => api.pressAtHome({ as, view_id: views.home.id, action_id }));
  }

  /** Submits the modal. Returns whether the playground accepted it. Its outcome comes as a change. */
  submitModal(values) {
    const { as, views } = this.state;
    return this.attempt(() => api.submitView({ as, view_id: views.modal.id, values }));
  }

  closeModal() {
    return this.attempt(() => api.closeView({ as: this.state.as }));
  }

  async open(channel, thread = null) {
    this.pendingRoot = null;
    this.state.open(channel, thread);
    await this.load(channel);
  }

  async load(channel) {
    const load = this.state.beginLoading(channel);
    const read = async () => this.state.loaded(load, await api.readMessages(channel, this.state.as));
    if (!(await this.attempt(read))) this.state.abandonLoading(load);
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
    if (!before && this.isMyRoot(change)) this.pendingRoot.ts ??= change.message.ts;
    const root = answeredThread(change);
    if (root === null || root !== this.pendingRoot.ts) return;
    this.pendingRoot = null;
    if (matchMedia(WIDE).matches && this.page.threadIsIdle()) this.state.openThread(root);
  }

  isMyRoot({ type, message }) {
    return type === "message" && message.user === this.state.as && !message.ephemeral && !isReply(message);
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

  async saveEdit({ channel, ts }, text) {
    if (await this.attempt(() => api.editMessage({ as: this.state.as, channel, ts, text }))) this.endEdit();
  }

  remove({ channel, ts }) {
    return this.attempt(() => api.deleteMessage({ as: this.state.as, channel, ts }));
  }

  shortcut({ channel, ts }, callback_id) {
    return this.attempt(() => api.runShortcut({ as: this.state.as, channel, ts, callback_id }));
  }

  press({ channel, id }, action) {
    return this.attempt(() => api.pressButton({ as: this.state.as, channel, id, ...action }));
  }

  /** Presses Slack's Stop button in a thread. */
  stop(root) {
    const { as, channel } = this.state;
    return this.attempt(() => api.stopWork({ as, channel, thread_ts: root }));
  }

  /** Copies the link of a message in Slack's form, which commands accept for a thread. */
  copyLink({ channel, ts, thread_ts: root }) {
    const reply = root && root !== ts ? `?thread_ts=${root}&cid=${channel}` : "";
    return this.attempt(
      () => navigator.clipboard.writeText(`${location.origin}/archives/${channel}/p${ts.replace(".", "")}${reply}`),
      "Link copied.",
    );
  }

  openSidebar() {
    this.page.openSidebar();
  }

  /** Runs an action and shows its refusal. Returns whether it succeeded. */
  async attempt(act, done = null) {
    try {
      await act();
      if (done) this.page.showToast(done);
      return true;
    } catch (error) {
      this.page.showToast(error.message);
      return false;
    }
  }
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
