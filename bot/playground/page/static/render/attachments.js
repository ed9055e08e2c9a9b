/** Renders attachments: forwarded messages, and the older form of other apps' posts. */

import { el } from "../dom.js";
import { blocks } from "./blocks.js";
import { mrkdwn } from "./mrkdwn.js";

/** One bordered element for each attachment. `fileOf` renders a file of a forwarded message. */
export function attachments(list, names, fileOf) {
  return list.map((attachment) => el("div", { class: "attachment", data: { testid: "attached" } }, parts(attachment, names, fileOf)));
}

function parts({ author_name, pretext, title, text, fields, files, footer, blocks: list }, names, fileOf) {
  const line = (className, content) => content && el("p", { class: className }, content);
  return [
    line("attachment-author", author_name),
    ...mrkdwn(pretext, names),
    line("attachment-title", title),
    ...mrkdwn(text, names),
    ...blocks(list, { names, press: () => {} }),
    ...fields.map((field) => line("attachment-field", `${field.title}: ${field.value}`)),
    ...files.map(fileOf),
    line("aside", footer),
  ].filter(Boolean);
}
