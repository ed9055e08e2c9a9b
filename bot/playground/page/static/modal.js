/** A modal of the bot: its inputs, their errors and two buttons. Escape closes it. */

import { el } from "./dom.js";
import { blocks } from "./render/blocks.js";

export class Modal {
  constructor(controller) {
    this.controller = controller;
    this.element = el("dialog", { class: "modal", "aria-labelledby": "modal-title", data: { testid: "modal" } });
    this.element.addEventListener("cancel", (event) => {
      event.preventDefault(); // it closes when the playground confirms it
      controller.actions.closeModal();
    });
    this.fields = new Map(); // block id → {box, line, hint}: its input and the hint or error below it
  }

  render() {
    const view = this.controller.state.views.modal;
    const shown = JSON.stringify(view);
    if (shown === this.shown) return;
    this.shown = shown;
    if (view && view.id !== this.id) this.build(view);
    this.id = view?.id ?? null;
    if (!view) return this.element.close();
    this.showErrors(view.errors);
    if (!this.element.open) this.element.showModal();
  }

  build(view) {
    this.fields.clear();
    this.problem = el("p", { class: "field-problem", role: "alert" });
    this.save = el("button", { type: "submit", class: "button button-primary" }, view.submit ?? "Submit");
    const onclick = () => this.controller.actions.closeModal();
    const cancel = el("button", { type: "button", class: "button", onclick }, view.close ?? "Cancel");
    const onsubmit = (event) => this.submit(event);
    const body = view.blocks.flatMap((block) => this.block(block));
    const foot = el("div", { class: "modal-foot" }, this.problem, cancel, this.save);
    const title = el("h2", { id: "modal-title" }, view.title);
    this.element.replaceChildren(
      el("form", { onsubmit, novalidate: true }, title, el("div", { class: "modal-body" }, body), foot),
    );
  }

  block(block) {
    if (block.type !== "input") return blocks([block], { names: this.controller.names, press: () => {} });
    const id = `field-${block.block_id}`;
    const box = control(block.element, id);
    const line = el("p", { class: "field-hint", id: `${id}-line` });
    this.fields.set(block.block_id, { box, line, hint: block.hint?.text ?? "" });
    const optional = block.optional && el("span", { class: "aside" }, " (optional)");
    return [el("div", { class: "field" }, el("label", { for: id }, block.label.text, optional), box, line)];
  }

  showErrors(errors) {
    for (const [block, { box, line, hint }] of this.fields) {
      line.textContent = errors[block] ?? hint;
      line.className = errors[block] ? "field-problem" : "field-hint";
      box.setAttribute("aria-invalid", String(block in errors));
    }
    this.problem.textContent = errors[""] ?? "";
    this.save.disabled = false;
    const first = Object.keys(errors).find((block) => this.fields.has(block));
    if (first) this.fields.get(first).box.focus();
  }

  async submit(event) {
    event.preventDefault();
    this.save.disabled = true;
    this.shown = null; // show the errors again even if they stay the same
    const values = Object.fromEntries([...this.fields].map(([block, { box }]) => [block, box.value]));
    if (!(await this.controller.actions.submitModal(values))) this.save.disabled = false;
  }
}

function control(element, id) {
  const shared = { id, "aria-describedby": `${id}-line` };
  if (element.type === "static_select") {
    const chosen = element.initial_option?.value;
    const option = ({ text, value }) => el("option", { value, selected: value === chosen }, text.text);
    return el("select", shared, element.options.map(option));
  }
  const box = element.multiline ? el("textarea", { ...shared, rows: "5" }) : el("input", { ...shared, type: "text" });
  box.value = element.initial_value ?? "";
  return box;
}
