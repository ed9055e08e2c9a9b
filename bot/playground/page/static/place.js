/** The open place in the page's address (`#person/channel/thread`), so that a reload returns to it. */

/** Reads the acting person, the channel and the thread. Each may be null. */
export function readPlace(hash) {
  const [as, channel, thread] = hash.replace(/^#/, "").split("/").map(decodeURIComponent);
  return { as: as || null, channel: channel || null, thread: thread || null };
}

/** Writes the address without adding to the browser's history. */
export function writePlace({ as, channel, thread }) {
  const parts = [as, channel, thread].filter(Boolean).map(encodeURIComponent);
  history.replaceState(null, "", `#${parts.join("/")}`);
}
