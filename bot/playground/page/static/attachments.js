/** The files that a person is about to send: chosen with a button, dropped onto the pane, or pasted. */

import { el, iconButton } from "./dom.js";
import { icon } from "./icons.js";

export class Attachments {
  constructor(onChange, testid) {
    this.onChange = onChange;
    this.files = [];
    this.element = el("ul", { class: "attachments", hidden: true, "aria-label": "Files to send" });
    this.input = el("input", { type: "file", multiple: true, hidden: true, data: { testid: `${testid}-files` } });
    this.button = iconButton("Attach files", icon("clip"), () => this.input.click(), { class: "icon-button attach" });
    this.input.addEventListener("change", () => {
      this.add(this.input.files);
      this.input.value = "";
    });
  }

  /** Accepts files that are dropped onto this element. */
  acceptDrops(target) {
    const show = (dropping) => target.classList.toggle("dropping", dropping);
    target.addEventListener("dragover", (event) => {
      if (!event.dataTransfer.types.includes("Files")) return;
      event.preventDefault();
      show(true);
    });
    target.addEventListener("dragleave", (event) => {
      if (!target.contains(event.relatedTarget)) show(false);
    });
    target.addEventListener("drop", (event) => {
      show(false);
      if (!event.dataTransfer.files.length) return;
      event.preventDefault();
      this.add(event.dataTransfer.files);
    });
  }

  /** Accepts files that are pasted into this text box. */
  acceptPastes(box) {
    box.addEventListener("paste", (event) => {
      if (!event.clipboardData.files.length) return;
      event.preventDefault();
      this.add(event.clipboardData.files);
    });
  }

  add(files) {
    this.put([...this.files, ...files]);
  }

  /** Shows these files, and no others. */
  put(files) {
    this.files = files;
    this.element.hidden = !files.length;
    this.element.replaceChildren(...files.map((file) => this.chip(file)));
    this.onChange();
  }

  chip(file) {
    const remove = () => this.put(this.files.filter((other) => other !== file));
    return el("li", { data: { testid: "attachment" } }, file.name, iconButton(`Remove ${file.name}`, icon("close"), remove));
  }
}
