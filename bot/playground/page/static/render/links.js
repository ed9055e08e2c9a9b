/** Links in the texts of people and of the model: which ones are safe, and how they open. */

import { el } from "../dom.js";

const SAFE_PROTOCOLS = new Set(["http:", "https:", "mailto:"]);

/** The address if its protocol is safe, else null. `javascript:` and `data:` are not safe. */
export function safeAddress(address) {
  if (!/^[a-z][a-z0-9+.-]*:\S+$/i.test(address)) return null;
  try {
    return SAFE_PROTOCOLS.has(new URL(address).protocol) ? address : null;
  } catch {
    return null;
  }
}

/** A link that opens in a new tab and shows its address as its title. An unsafe address leaves only the label. */
export function link(address, label) {
  if (!safeAddress(address)) return el("span", {}, label);
  return el("a", { href: address, title: address, target: "_blank", rel: "noopener noreferrer" }, label);
}
