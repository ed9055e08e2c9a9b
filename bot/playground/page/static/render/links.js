/** Links that somebody else wrote: which are followed, and how they open. */

import { el } from "../dom.js";

const FOLLOWED = new Set(["http:", "https:", "mailto:"]);

/** The address if it may be followed, else null; `javascript:`, `data:` and their like may not. */
export function followed(address) {
  if (!/^[a-z][a-z0-9+.-]*:\S+$/i.test(address)) return null;
  try {
    return FOLLOWED.has(new URL(address).protocol) ? address : null;
  } catch {
    return null;
  }
}

/** A link that opens apart from the page and shows where it leads; the label alone where it may not be followed. */
export function link(address, label) {
  if (!followed(address)) return el("span", {}, label);
  return el("a", { href: address, title: address, target: "_blank", rel: "noopener noreferrer" }, label);
}
