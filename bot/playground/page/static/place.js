/** Where one is, kept in the page's address (`#person/channel/thread`), so that a reload comes back to it. */

/** Who acts and what is open, as far as the address tells. */
export function readPlace(hash) {
  const [as, channel, thread] = hash.replace(/^#/, "").split("/").map(decodeURIComponent);
  return { as: as || null, channel: channel || null, thread: thread || null };
}

/** Writes it down without a step in the browser's history. */
export function writePlace({ as, channel, thread }) {
  const parts = [as, channel, thread].filter(Boolean).map(encodeURIComponent);
  history.replaceState(null, "", `#${parts.join("/")}`);
}
