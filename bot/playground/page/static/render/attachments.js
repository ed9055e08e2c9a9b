/** Renders attachments: forwarded messages, and the older form of other apps' posts. */

import { el } from "../dom.js";
import { blocks } from "./blocks.js";
import { mrkdwn } from "./mrkdwn.js";

/** One bordered element for each attachment. */
export function attachments(list, names) {
  return list.map((attachment) => el("div", { class: "attachment", data: { testid: "attachment" } }, parts(attachment, names)));
}

function parts({ author_name, pretext, title, text, fields, footer, blocks: list }, names) {
  const line = (className, content) => content && el("p", { class: className }, content);
  return [
    line("attachment-author", author_name),
    ...mrkdwn(pretext, names),
    line("attachment-title", title),
    ...mrkdwn(text, names),
    ...blocks(list, { names, press: () => {} }),
    ...fields.map((field) => line("attachment-field", `${field.title}: ${field.value}`)),
    line("aside", footer),
  ].filter(Boolean);
}
