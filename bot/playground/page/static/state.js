/**
 * The page's state: the workspace, the acting person, the open place, the messages, the unread channels.
 * Rule: it uses no document and no network. The page renders only from it, and each change calls `onChange`.
 */

const SLACKBOT = { real_name: "Slackbot", initials: "S", color: "#5c6b73" };
const ANOTHER_APP = { real_name: "Another app", initials: "A", color: "#5c6b73" };

export class State {
  constructor(workspace, onChange) {
    Object.assign(this, workspace);
    this.onChange = onChange;
    this.as = workspace.people[0].id;
    this.channel = null;
    this.thread = null; // the ts of the root of the open thread
    this.atHome = false; // whether the bot's Home tab is open instead of its messages
    this.views = { home: null, modal: null }; // the views of the acting person
    this.editing = null; // the id of the message being edited
    this.online = true; // whether the page is connected to the playground
    this.restarted = false; // whether the playground was restarted since the last message, and has lost the earlier ones
    this.messages = new Map(); // channel → id → message
    this.statuses = new Map(); // channel → thread's root ts → {text, stoppable}
    this.loading = new Set(); // pending loads: {channel, missed: changes since the load began}
    this.seen = new Map(); // person and channel → newest ts that was shown
    this.unread = new Set(); // ids of unread channels of the acting person
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

  /** A user, even an unknown one: `{id, name, real_name, initials, color}`. The bot has `is_bot`. */
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

  find(channel, id) {
    return this.messages.get(channel)?.get(id) ?? null;
  }

  message(ts) {
    return this.all().find((message) => message.ts === ts && !message.ephemeral) ?? null;
  }

  /** A thread's status such as "attendant is thinking…", or "". Slack's statuses leave out the bot's name. */
  status(root) {
    const text = this.online ? (this.statuses.get(this.channel)?.get(root)?.text ?? "") : "";
    return !text || text.startsWith(this.bot.name) ? text : `${this.bot.name} ${text}`;
  }

  /** Whether Slack would show its Stop button in that thread. */
  isStoppable(root) {
    return this.online && (this.statuses.get(this.channel)?.get(root)?.stoppable ?? false);
  }

  /** Changes the acting person. Everything that the previous person saw is dropped, since it may be private. */
  actAs(person) {
    this.as = person;
    for (const collection of [this.messages, this.statuses, this.loading, this.unread]) collection.clear();
    this.views = { home: null, modal: null };
    this.atHome = false;
    this.editing = null;
    this.onChange();
  }

  /** Takes what the playground says at each connection. A restarted playground has none of the earlier messages. */
  connect({ connected, notice, began_at: beganAt }) {
    if (beganAt !== this.began_at) {
      for (const collection of [this.messages, this.statuses, this.unread, this.seen]) collection.clear();
      this.restarted = true;
    }
    Object.assign(this, { connected, notice, began_at: beganAt });
    this.onChange();
  }

  open(channel, thread = null) {
    this.channel = channel;
    this.thread = thread;
    this.atHome = false;
    this.editing = null;
    this.onChange();
  }

  openHome(atHome) {
    this.atHome = atHome;
    if (atHome) this.thread = null;
    this.onChange();
  }

  show(views) {
    Object.assign(this.views, views);
    this.onChange();
  }

  openThread(root) {
    this.thread = root;
    this.editing = null;
    this.onChange();
  }

  edit(id) {
    this.editing = id;
    this.onChange();
  }

  /** Begins a load of a channel. Changes that arrive during the load are applied after it. */
  beginLoading(channel) {
    const load = { channel, missed: [] };
    this.loading.add(load);
    return load;
  }

  /** Stores the result of a load, unless the acting person has changed meanwhile. */
  loaded(load, { messages, statuses }) {
    if (!this.loading.delete(load)) return;
    this.messages.set(load.channel, new Map(messages.map((message) => [message.id, message])));
    this.statuses.set(load.channel, new Map(statuses.map((status) => [status.thread_ts, status])));
    load.missed.forEach((change) => this.apply(change));
    if (load.channel === this.channel) this.markSeen(load.channel);
    this.closeLostThread();
    this.onChange();
  }

  abandonLoading(load) {
    this.loading.delete(load);
  }

  /** Applies one change from the playground. */
  apply(change) {
    const channel = change.message?.channel ?? change.channel;
    for (const load of this.loading) if (load.channel === channel) load.missed.push(change);
    if (change.type === "view") this.views[change.kind] = change.view;
    if (change.type === "connection") this.connected = change.connected;
    if (change.type === "removed") this.messages.get(channel)?.delete(change.id);
    if (change.type === "status") this.statuses.get(channel)?.set(change.thread_ts, change);
    if (change.type === "message") this.addMessage(change.message);
    if (change.type === "removed") this.closeLostThread();
    this.onChange();
  }

  /** Closes the open thread when its channel is loaded and neither its root nor a reply is there any more. */
  closeLostThread() {
    if (!this.thread || !this.messages.has(this.channel)) return;
    if (this.message(this.thread) || this.replies(this.thread).length > 0) return;
    this.thread = null;
    this.editing = null;
  }

  addMessage(message) {
    this.restarted = false;
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
    this.onChange();
  }
}

/** Whether a message is a reply in a thread. */
export function isReply(message) {
  return message.thread_ts !== null && message.thread_ts !== message.ts;
}
