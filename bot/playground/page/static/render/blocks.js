/**
 * Renders Slack's blocks: section, header, context, divider, markdown, actions. Other types are left out.
 * Source: https://docs.slack.dev/reference/block-kit/blocks
 */

import { el } from "../dom.js";
import { markdown } from "./markdown.js";
import { mrkdwn } from "./mrkdwn.js";

const KINDS = {
  section: (block, show) =>
    el("div", { class: "section" }, texts(block, show), block.accessory && button(block.accessory, block, show)),
  header: (block) => el("h3", {}, block.text.text),
  context: (block, show) =>
    el(
      "div",
      { class: "context" },
      block.elements.map((text) => el("span", {}, rich(text, show.names))),
    ),
  divider: () => el("hr"),
  markdown: (block, show) => el("div", { class: "markdown" }, markdown(block.text, show.names)),
  actions: (block, show) =>
    el(
      "div",
      { class: "actions" },
      block.elements.map((element) => button(element, block, show)),
    ),
};

/** Nodes for the supported blocks. `show` has `names`, and `press(action)`, which a button calls. */
export function blocks(list, show) {
  return list.filter((block) => Object.hasOwn(KINDS, block.type)).map((block) => KINDS[block.type](block, show));
}

function texts(block, show) {
  const all = [block.text, ...(block.fields ?? [])].filter(Boolean);
  return el(
    "div",
    { class: "section-text" },
    all.map((text) => el("div", {}, rich(text, show.names))),
  );
}

function rich(text, names) {
  return text.type === "mrkdwn" ? mrkdwn(text.text, names) : [el("p", { class: "plain" }, text.text)];
}

function button(element, block, show) {
  if (element.type !== "button") return null;
  const action = { action_id: element.action_id, block_id: block.block_id ?? null, value: element.value ?? null };
  const style = element.style === "danger" || element.style === "primary" ? ` button-${element.style}` : "";
  const onclick = (event) => press(event.currentTarget, action, show);
  return el(
    "button",
    { type: "button", class: `button${style}`, data: { action: JSON.stringify(action) }, onclick },
    element.text.text,
  );
}

async function press(button, action, show) {
  button.disabled = true;
  await show.press(action);
  button.disabled = false;
}
