/**
 * How elements are made and renewed.
 * Rule: what people or the model wrote becomes text nodes; nothing here, or anywhere in the page, parses markup.
 */

/** An element with attributes (`data` sets dataset, `onclick` and its like listen), and children: nodes or text. */
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

/** Makes `parent` hold `nodes`, keeping leading children that are equal: what streams in leaves the rest alone. */
export function renew(parent, nodes) {
  let same = 0;
  while (same < nodes.length && parent.childNodes[same]?.isEqualNode(nodes[same])) same += 1;
  while (parent.childNodes.length > same) parent.lastChild.remove();
  parent.append(...nodes.slice(same));
}

/** Makes `parent` hold exactly these nodes in this order, moving only what has to move, so that focus stays. */
export function arrange(parent, nodes) {
  const wanted = new Set(nodes);
  for (const child of [...parent.childNodes]) if (!wanted.has(child)) child.remove();
  nodes.forEach((node, at) => {
    if (parent.childNodes[at] !== node) parent.insertBefore(node, parent.childNodes[at] ?? null);
  });
}

/** An icon-only button, named for those who cannot see it. */
export function iconButton(label, icon, onclick, attributes = {}) {
  return el(
    "button",
    { type: "button", class: "icon-button", "aria-label": label, title: label, onclick, ...attributes },
    icon,
  );
}
