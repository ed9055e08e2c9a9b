/** A person's avatar: initials on the person's colour. The bot's avatar is a service bell. */

import { el } from "./dom.js";
import { icon } from "./icons.js";

export function avatar(person, size = "") {
  const node = el(
    "span",
    { class: `avatar ${size}`, "aria-hidden": "true" },
    person.is_bot ? icon("bell") : person.initials,
  );
  if (person.is_bot) node.classList.add("avatar-bot");
  else tint(node, person.color);
  return node;
}

function tint(node, color) {
  const hex = color.replace("#", "");
  node.style.backgroundColor = `#${hex}`; // the content security policy forbids style attributes
  node.classList.toggle("avatar-light", luminance(hex) > 0.4);
}

/** Approximate relative luminance, from 0 for black to 1 for white. */
function luminance(hex) {
  const [red, green, blue] = [0, 2, 4].map((at) => (parseInt(hex.slice(at, at + 2), 16) / 255) ** 2.2);
  return 0.21 * red + 0.72 * green + 0.07 * blue;
}
