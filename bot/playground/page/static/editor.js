/** The form for editing a message in place: Enter saves, Escape cancels. */

import { el } from "./dom.js";
import { asTyped } from "./render/entities.js";

export function editor(message, controller) {
  const box = el("textarea", { "aria-label": "Edit message", rows: "2", data: { testid: "edit-box" } });
  box.value = asTyped(message.text, controller.names);
  const cancel = el("button", { type: "button", class: "button", onclick: () => controller.endEdit() }, "Cancel");
  const save = el("button", { type: "submit", class: "button button-primary" }, "Save");
  const form = el("form", { class: "editor" }, box, el("div", { class: "actions" }, cancel, save));
  form.addEventListener("submit", (event) => submit(event, box, message, controller));
  form.addEventListener("keydown", (event) => onKeyDown(event, form, controller));
  queueMicrotask(() => box.focus());
  return form;
}

function onKeyDown(event, form, controller) {
  if (event.key === "Escape") {
    event.stopPropagation();
    controller.endEdit();
  } else if (event.key === "Enter" && !event.shiftKey && !event.isComposing && event.target.matches("textarea")) {
    event.preventDefault();
    form.requestSubmit();
  }
}

async function submit(event, box, message, controller) {
  event.preventDefault();
  const text = box.value.trim();
  if (text) await controller.saveEdit(message, text);
}
