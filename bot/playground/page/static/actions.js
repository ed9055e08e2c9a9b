/** What the acting person does with messages and views. The playground confirms each action with a change. */

import * as api from "./api.js";

/** `showToast(sentence)` shows the refusal of an action. */
export class Actions {
  constructor(state, showToast) {
    this.state = state;
    this.showToast = showToast;
  }

  /** Runs an action and shows its refusal. Returns whether it succeeded. */
  async attempt(act, done = null) {
    try {
      await act();
      if (done) this.showToast(done);
      return true;
    } catch (error) {
      this.showToast(error.message);
      return false;
    }
  }

  edit({ channel, ts }, text) {
    return this.attempt(() => api.editMessage({ as: this.state.as, channel, ts, text }));
  }

  /** Forwards a message into another place. */
  forward({ channel, ts }, place) {
    const sent = () => api.forwardMessage({ as: this.state.as, channel, ts, to: place.id });
    return this.attempt(sent, `Forwarded to ${place.name}.`);
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
}
