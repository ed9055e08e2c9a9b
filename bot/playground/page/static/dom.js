/**
 * Creating and updating elements.
 * Rule: texts of people and of the model become text nodes. Nothing on the page parses markup.
 */

/** Creates an element. `data` sets its dataset, functions become event listeners, children are nodes or text. */
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) set(node, name, value);
  node.append(...children.flat(Infinity).filter(isSomething));
  return node;
}

function isSomething(value) {
  return value !== null && value !== undefined && value !== false;
}

function set(node, name, value) {
  if (!isSomething(value)) return;
  if (name === "data") Object.assign(node.dataset, value);
  else if (typeof value === "function") node.addEventListener(name.slice(2), value);
  else node.setAttribute(name, value === true ? "" : value);
}

/** Makes `nodes` the children of `parent`. Equal leading children are kept, so that streaming changes only the end. */
export function updateChildren(parent, nodes) {
  let same = 0;
  while (same < nodes.length && parent.childNodes[same]?.isEqualNode(nodes[same])) same += 1;
  while (parent.childNodes.length > same) parent.lastChild.remove();
  parent.append(...nodes.slice(same));
}

/** Makes `nodes` the children of `parent` in this order. Nodes already in place are not moved and keep their focus. */
export function arrange(parent, nodes) {
  const wanted = new Set(nodes);
  for (const child of [...parent.childNodes]) if (!wanted.has(child)) child.remove();
  nodes.forEach((node, at) => {
    if (parent.childNodes[at] !== node) parent.insertBefore(node, parent.childNodes[at] ?? null);
  });
}

/** Creates a button with an icon. `label` is its accessible name. */
export function iconButton(label, icon, onclick, attributes = {}) {
  return el(
    "button",
    { type: "button", class: "icon-button", "aria-label": label, title: label, onclick, ...attributes },
    icon,
  );
}
