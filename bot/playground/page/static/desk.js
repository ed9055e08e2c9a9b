/**
 * What can be done on the page: each wish goes to the playground, each change it tells goes into the state.
 * Rule: nothing a person does is shown before the playground has said that it happened.
 */

import * as api from "./api.js";
import { isReply } from "./state.js";

const WIDE = "(min-width: 1001px)"; // where the thread stands beside the channel: see layout.css

/** `page` has tell(sentence), focusThread(), focusMessage(ts), threadHasFocus(), threadIsIdle(), openSidebar(). */
export class Desk {
  constructor(state, page) {
    this.state = state;
    this.page = page;
    this.names = namesIn(state);
    this.awaited = null; // the message just sent, whose thread opens when the bot starts to answer: {ts}
    this.stopListening = () => {};
    this.onHeard = () => {};
  }

  start({ as, channel, thread }) {
    const person = this.state.people.find(({ id }) => id === as) ?? this.state.people[0];
    this.actAs(person.id, channel, thread);
  }

  actAs(person, channel = this.state.channel, thread = null) {
    const { state } = this;
    const wasDirect = channel !== null && channel === state.dms[state.as];
    this.awaited = null;
    this.stopListening();
    state.actAs(person);
    const place = state.place(wasDirect ? state.dms[person] : channel) ?? state.places()[0];
    state.open(place.id, place.id === channel ? thread : null);
    this.stopListening = api.listen(person, this.ears()); // messages are read once it listens, so that none is missed
  }

  ears() {
    return {
      open: () => {
        this.state.setOnline(true);
        this.refresh();
      },
      lost: () => this.state.setOnline(false),
      change: (change) => this.hear(change),
    };
  }

  /** Reads anew what may have changed while nobody listened: the bot's connection, and the open channel. */
  async refresh() {
    await this.trying(async () => {
      const { connected, notice } = await api.readWorkspace();
      Object.assign(this.state, { connected, notice });
    });
    const { as } = this.state;
    const views = async () => {
      const shown = await api.readViews(as);
      if (as === this.state.as) this.state.show(shown);
    };
    await Promise.all([this.trying(views), this.load(this.state.channel)]);
  }

  /** Opens the bot's Home tab, of which the bot is told, or goes back to its messages. */
  async openHome(atHome) {
    this.state.openHome(atHome);
    if (atHome) await this.trying(() => api.openHome({ as: this.state.as }));
  }

  pressAtHome({ action_id }) {
    const { as, views } = this.state;
    return this.trying(() => api.pressAtHome({ as, view_id: views.home.id, action_id }));
  }

  /** Submits the modal; what becomes of it is heard. Whether the playground took it. */
  submitModal(values) {
    const { as, views } = this.state;
    return this.trying(() => api.submitView({ as, view_id: views.modal.id, values }));
  }

  closeModal() {
    return this.trying(() => api.closeView({ as: this.state.as }));
  }

  async open(channel, thread = null) {
    this.awaited = null;
    this.state.open(channel, thread);
    await this.load(channel);
  }

  async load(channel) {
    const reading = this.state.beginLoading(channel);
    const read = async () => this.state.loaded(reading, await api.readMessages(channel, this.state.as));
    if (!(await this.trying(read))) this.state.gaveUpLoading(reading);
  }

  hear(change) {
    const { state } = this;
    const channel = change.message?.channel ?? change.channel;
    const before = change.message ? state.known(channel, change.message.id) : null;
    state.apply(change);
    if (channel !== state.channel) return;
    this.onHeard(change, before);
    this.follow(change, before);
  }

  /** Opens the thread of the message just sent once the bot begins to answer in it, where that disturbs nobody. */
  follow(change, before) {
    if (!this.awaited) return;
    if (!before && this.isMyRoot(change)) this.awaited.ts ??= change.message.ts;
    const begun = answeredThread(change);
    if (begun === null || begun !== this.awaited.ts) return;
    this.awaited = null;
    if (matchMedia(WIDE).matches && this.page.threadIsIdle()) this.state.openThread(begun);
  }

  isMyRoot({ type, message }) {
    return type === "message" && message.user === this.state.as && !message.ephemeral && !isReply(message);
  }

  /** Sends what was typed: a known command as a command, everything else as a message. Rejects when it was refused. */
  async send(text, { as, channel, thread }) {
    const where = { as, channel, ...(thread ? { thread_ts: thread } : {}) };
    const [word] = text.split(/\s/, 1);
    if (this.state.commands.some(({ command }) => command === word))
      return api.runCommand({ ...where, command: word, text: text.slice(word.length).trim() });
    if (!thread) this.awaited = {};
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
    if (await this.trying(() => api.editMessage({ as: this.state.as, channel, ts, text }))) this.endEdit();
  }

  remove({ channel, ts }) {
    return this.trying(() => api.deleteMessage({ as: this.state.as, channel, ts }));
  }

  shortcut({ channel, ts }, callback_id) {
    return this.trying(() => api.runShortcut({ as: this.state.as, channel, ts, callback_id }));
  }

  press({ channel, id }, action) {
    return this.trying(() => api.pressButton({ as: this.state.as, channel, id, ...action }));
  }

  /** Presses Slack's Stop button in a thread. */
  stop(root) {
    const { as, channel } = this.state;
    return this.trying(() => api.stopWork({ as, channel, thread_ts: root }));
  }

  /** A message's link in Slack's form, with which a command can name its thread. */
  copyLink({ channel, ts, thread_ts: root }) {
    const reply = root && root !== ts ? `?thread_ts=${root}&cid=${channel}` : "";
    return this.trying(
      () => navigator.clipboard.writeText(`${location.origin}/archives/${channel}/p${ts.replace(".", "")}${reply}`),
      "Link copied.",
    );
  }

  openSidebar() {
    this.page.openSidebar();
  }

  /** Does it, and tells the person when it was refused. Whether it worked. */
  async trying(act, done = null) {
    try {
      await act();
      if (done) this.page.tell(done);
      return true;
    } catch (error) {
      this.page.tell(error.message);
      return false;
    }
  }
}

/** The root of the thread in which the bot works or answers by this change, or null. */
function answeredThread({ type, message, thread_ts: root, text }) {
  if (type === "status") return text ? root : null;
  return type === "message" && message.is_bot && isReply(message) ? message.thread_ts : null;
}

/** What the renderers ask: the names behind ids. */
function namesIn(state) {
  const found = (id) =>
    id === state.bot.id || state.people.some((person) => person.id === id) ? state.person(id) : null;
  return {
    get me() {
      return state.as;
    },
    person: (id) => found(id)?.real_name ?? null,
    handle: (id) => found(id)?.name ?? null,
    channel: (id) => state.channels.find((channel) => channel.id === id)?.name ?? null,
  };
}
