/**
 * The client of the page's JSON API: it reads the workspace, acts in it and subscribes to its changes.
 * Rule: every refusal becomes an Error whose message the page can show.
 */

const UNREACHABLE = "The playground is not responding. Is it still running?";

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

/** Sends a message with files. */
export function shareFiles(fields, files) {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.append(name, value);
  for (const file of files) form.append("file", file);
  return request("/page/share", { method: "POST", body: form });
}

/** The address of a file in a message, as this person may see it. */
export function fileAddress(path, channel, as) {
  return `${path}?${new URLSearchParams({ channel, as })}`;
}

/** Reads the workspace: team, bot, people, channels, commands, shortcuts. */
export function readWorkspace() {
  return request("/page/state");
}

/** Reads the messages of a channel that the person `as` can see, and its statuses. */
export function readMessages(channel, as) {
  return request(`/page/messages?${new URLSearchParams({ channel, as })}`);
}

/** Reads the views of the person `as`: `{home, modal}`, each null when there is none. */
export function readViews(as) {
  return request(`/page/views?${new URLSearchParams({ as })}`);
}

export const sendMessage = (body) => post("post", body);
export const forwardMessage = (body) => post("forward", body);
export const editMessage = (body) => post("edit", body);
export const deleteMessage = (body) => post("delete", body);
export const runCommand = (body) => post("command", body);
export const runShortcut = (body) => post("shortcut", body);
export const pressButton = (body) => post("action", body);
export const stopWork = (body) => post("stop", body);
export const openHome = (body) => post("home", body);
export const openMessages = (body) => post("messages-tab", body);
export const pressAtHome = (body) => post("view-action", body);
export const submitView = (body) => post("submit", body);
export const closeView = (body) => post("close", body);

/**
 * Subscribes to the changes that the person `as` can see. Returns a function that ends the subscription.
 * `on.open()` is called at each connection. Changes before it were missed. `on.lost()` is called when it is lost.
 */
export function subscribe(as, on) {
  const source = new EventSource(`/page/events?${new URLSearchParams({ as })}`);
  source.addEventListener("open", () => on.open());
  source.addEventListener("error", () => on.lost());
  source.addEventListener("message", (event) => on.change(JSON.parse(event.data)));
  return () => source.close();
}
