/** A person's round picture: initials on their colour; the bot's is a service bell. */

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
  node.style.backgroundColor = `#${hex}`; // through the CSSOM, which the content security policy allows
  node.classList.toggle("avatar-light", luminance(hex) > 0.4);
}

/** Relative luminance, roughly: 0 is black, 1 is white. */
function luminance(hex) {
  const [red, green, blue] = [0, 2, 4].map((at) => (parseInt(hex.slice(at, at + 2), 16) / 255) ** 2.2);
  return 0.21 * red + 0.72 * green + 0.07 * blue;
}
