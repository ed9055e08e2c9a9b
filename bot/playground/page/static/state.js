/**
 * What the page knows: the workspace, who acts, what is open, the messages, what is unread.
 * Rule: no document and no network here; everything shown is read from this, and each change calls `changed`.
 */

const SLACKBOT = { real_name: "Slackbot", initials: "S", color: "#5c6b73" };
const ANOTHER_APP = { real_name: "Another app", initials: "A", color: "#5c6b73" };

export class State {
  constructor(workspace, changed) {
    Object.assign(this, workspace);
    this.changed = changed;
    this.as = workspace.people[0].id;
    this.channel = null;
    this.thread = null; // the root's ts of the thread in the side pane
    this.atHome = false; // whether the bot's Home tab is open instead of its messages
    this.views = { home: null, modal: null }; // what the bot shows to the acting person
    this.editing = null; // the id of the message being edited
    this.online = true; // whether the page hears the playground
    this.messages = new Map(); // channel → id → message
    this.statuses = new Map(); // channel → thread's root ts → {text, stoppable}
    this.loading = new Set(); // readings under way: {channel, missed: changes that came meanwhile}
    this.seen = new Map(); // person and channel → newest ts shown
    this.unread = new Set(); // channels of the acting person
  }

  /** The channels the acting person is in, the direct messages with the bot last. */
  places() {
    const mine = this.channels.filter((channel) => channel.members.includes(this.as));
    const direct = {
      id: this.dms[this.as],
      kind: "dm",
      name: this.bot.name,
      topic: `Direct messages between you and ${this.bot.name}`,
    };
    return direct.id ? [...mine, direct] : mine;
  }

  place(id = this.channel) {
    return this.places().find((place) => place.id === id) ?? null;
  }

  /** Who that is, also when nobody knows: `{id, name, real_name, initials, color}`; the bot has `is_bot`. */
  person(id) {
    if (id === this.bot.id) return { ...this.bot, real_name: this.bot.name, is_bot: true };
    const known = this.people.find((person) => person.id === id);
    return known ?? { id, name: id, ...(id === "USLACKBOT" ? SLACKBOT : ANOTHER_APP) };
  }

  /** Messages of a channel, oldest first. */
  all(channel = this.channel) {
    const messages = [...(this.messages.get(channel)?.values() ?? [])];
    return messages.sort((a, b) => (a.ts === b.ts ? 0 : a.ts < b.ts ? -1 : 1));
  }

  roots() {
    return this.all().filter((message) => !isReply(message) || message.subtype === "thread_broadcast");
  }

  replies(root) {
    return this.all().filter((message) => isReply(message) && message.thread_ts === root);
  }

  known(channel, id) {
    return this.messages.get(channel)?.get(id) ?? null;
  }

  message(ts) {
    return this.all().find((message) => message.ts === ts && !message.ephemeral) ?? null;
  }

  /** "attendant is thinking…", or nothing. Slack's statuses leave out the name, and the reader wants it. */
  status(root) {
    const text = this.statuses.get(this.channel)?.get(root)?.text ?? "";
    return !text || text.startsWith(this.bot.name) ? text : `${this.bot.name} ${text}`;
  }

  /** Whether Slack would show its Stop button in that thread. */
  isStoppable(root) {
    return this.statuses.get(this.channel)?.get(root)?.stoppable ?? false;
  }

  /** Another person acts: what the last one saw is put away, since ephemeral messages are theirs alone. */
  actAs(person) {
    this.as = person;
    for (const kept of [this.messages, this.statuses, this.loading, this.unread]) kept.clear();
    this.views = { home: null, modal: null };
    this.atHome = false;
    this.editing = null;
    this.changed();
  }

  open(channel, thread = null) {
    this.channel = channel;
    this.thread = thread;
    this.atHome = false;
    this.editing = null;
    this.changed();
  }

  openHome(atHome) {
    this.atHome = atHome;
    if (atHome) this.thread = null;
    this.changed();
  }

  show(views) {
    Object.assign(this.views, views);
    this.changed();
  }

  openThread(root) {
    this.thread = root;
    this.editing = null;
    this.changed();
  }

  edit(id) {
    this.editing = id;
    this.changed();
  }

  /** Call before a channel's messages are read: what changes meanwhile is kept and applied to what was read. */
  beginLoading(channel) {
    const reading = { channel, missed: [] };
    this.loading.add(reading);
    return reading;
  }

  /** Takes in what was read, unless somebody else acts by now. */
  loaded(reading, { messages, statuses }) {
    if (!this.loading.delete(reading)) return;
    this.messages.set(reading.channel, new Map(messages.map((message) => [message.id, message])));
    this.statuses.set(reading.channel, new Map(statuses.map((status) => [status.thread_ts, status])));
    reading.missed.forEach((change) => this.apply(change));
    if (reading.channel === this.channel) this.markSeen(reading.channel);
    this.changed();
  }

  gaveUpLoading(reading) {
    this.loading.delete(reading);
  }

  /** Takes in one change as the playground tells it. */
  apply(change) {
    const channel = change.message?.channel ?? change.channel;
    for (const reading of this.loading) if (reading.channel === channel) reading.missed.push(change);
    if (change.type === "view") this.views[change.kind] = change.view;
    if (change.type === "connection") this.connected = change.connected;
    if (change.type === "removed") this.messages.get(channel)?.delete(change.id);
    if (change.type === "status") this.statuses.get(channel)?.set(change.thread_ts, change);
    if (change.type === "message") this.take(change.message);
    this.changed();
  }

  take(message) {
    this.messages.get(message.channel)?.set(message.id, message);
    if (message.channel === this.channel) this.markSeen(message.channel);
    else if (message.user !== this.as && message.ts > this.newestSeen(message.channel))
      this.unread.add(message.channel);
  }

  markSeen(channel) {
    this.unread.delete(channel);
    const newest = this.all(channel).at(-1)?.ts ?? "";
    if (newest > this.newestSeen(channel)) this.seen.set(`${this.as} ${channel}`, newest);
  }

  newestSeen(channel) {
    return this.seen.get(`${this.as} ${channel}`) ?? "";
  }

  setOnline(online) {
    this.online = online;
    this.changed();
  }
}

/** Whether a message stands in a thread below its root. */
export function isReply(message) {
  return message.thread_ts !== null && message.thread_ts !== message.ts;
}
