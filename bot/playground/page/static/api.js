/**
 * The page's JSON API: reading the workspace, acting in it, and hearing what changes.
 * Rule: every refusal becomes an Error whose message is a sentence fit to be shown.
 */

const UNREACHABLE = "The playground does not answer. Is it still running?";

async function request(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Error(UNREACHABLE);
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok || answer.ok === false)
    throw new Error(answer.error ?? `The playground refused that (${response.status}).`);
  return answer;
}

function post(action, body) {
  return request(`/page/${action}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
}

/** The workspace: team, bot, people, channels, commands, shortcuts. */
export function readWorkspace() {
  return request("/page/state");
}

/** All that the person `as` can see in a channel, and the statuses shown there. */
export function readMessages(channel, as) {
  return request(`/page/messages?${new URLSearchParams({ channel, as })}`);
}

/** What the bot shows to the person `as` outside of messages: `{home, modal}`, each null where there is nothing. */
export function readViews(as) {
  return request(`/page/views?${new URLSearchParams({ as })}`);
}

export const sendMessage = (body) => post("post", body);
export const editMessage = (body) => post("edit", body);
export const deleteMessage = (body) => post("delete", body);
export const runCommand = (body) => post("command", body);
export const runShortcut = (body) => post("shortcut", body);
export const pressButton = (body) => post("action", body);
export const stopWork = (body) => post("stop", body);
export const openHome = (body) => post("home", body);
export const pressAtHome = (body) => post("view-action", body);
export const submitView = (body) => post("submit", body);
export const closeView = (body) => post("close", body);

/**
 * Hears every change the person `as` may see, until the returned function is called.
 * `on.open()` tells of a connection made, perhaps again: what changed before was missed. `on.lost()` tells of one lost.
 */
export function listen(as, on) {
  const source = new EventSource(`/page/events?${new URLSearchParams({ as })}`);
  source.addEventListener("open", () => on.open());
  source.addEventListener("error", () => on.lost());
  source.addEventListener("message", (event) => on.change(JSON.parse(event.data)));
  return () => source.close();
}
