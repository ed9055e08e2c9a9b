/** A message being edited where it stands: Enter saves, Escape leaves it as it was. */

import { el } from "./dom.js";
import { asTyped } from "./render/entities.js";

export function editor(message, desk) {
  const box = el("textarea", { "aria-label": "Edit message", rows: "2", data: { testid: "edit-box" } });
  box.value = asTyped(message.text, desk.names);
  const cancel = el("button", { type: "button", class: "button", onclick: () => desk.endEdit() }, "Cancel");
  const save = el("button", { type: "submit", class: "button button-primary" }, "Save");
  const form = el("form", { class: "editor" }, box, el("div", { class: "actions" }, cancel, save));
  form.addEventListener("submit", (event) => submit(event, box, message, desk));
  form.addEventListener("keydown", (event) => keyed(event, form, desk));
  queueMicrotask(() => box.focus());
  return form;
}

function keyed(event, form, desk) {
  if (event.key === "Escape") {
    event.stopPropagation();
    desk.endEdit();
  } else if (event.key === "Enter" && !event.shiftKey && !event.isComposing && event.target.matches("textarea")) {
    event.preventDefault();
    form.requestSubmit();
  }
}

async function submit(event, box, message, desk) {
  event.preventDefault();
  const text = box.value.trim();
  if (text) await desk.saveEdit(message, text);
}
