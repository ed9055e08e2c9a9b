/** Renders the files of a message. */

import { fileAddress } from "../api.js";
import { el } from "../dom.js";

/** A file: an image as such, any other file as a link, and one without content as its name. */
export function fileOf({ name, path, is_image: isImage }, { channel }, as) {
  if (path === null) return el("p", { class: "aside" }, name);
  const href = fileAddress(path, channel, as);
  if (!isImage) return el("p", {}, el("a", { href, download: name, data: { testid: "file" } }, name));
  const image = el("img", { src: href, alt: name, title: name, class: "file-image", data: { testid: "file-image" } });
  return el("p", {}, el("a", { href, target: "_blank" }, image));
}
