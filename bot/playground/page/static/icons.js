/** The page's icons, as inline SVG elements in the colour of the surrounding text. */

const SVG = "http://www.w3.org/2000/svg";

const STROKES = {
  hash: ["M9 4 7 20", "M17 4 15 20", "M4 9h16", "M3.5 15h16"],
  lock: ["M6 11h12v9H6z", "M8.5 11V8a3.5 3.5 0 0 1 7 0v3"],
  reply: ["M20 12a8 8 0 0 1-11.6 7.1L4 20l1-4.2A8 8 0 1 1 20 12z"],
  more: ["M5.5 12h.01", "M12 12h.01", "M18.5 12h.01"],
  close: ["M6 6l12 12", "M18 6 6 18"],
  clip: ["M20 11.5 12 19.5a5 5 0 0 1-7-7l8.5-8.5a3.4 3.4 0 0 1 4.8 4.8l-8.5 8.5a1.7 1.7 0 0 1-2.4-2.4l7.8-7.8"],
  send: ["M4 12 20 4l-5 16-3.5-6.5z", "M20 4l-8.5 9.5"],
  menu: ["M4 7h16", "M4 12h16", "M4 17h16"],
  eye: ["M3 12s3.5-6 9-6 9 6 9 6-3.5 6-9 6-9-6-9-6z", "M12 14.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5z"],
  info: ["M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18z", "M12 11v5", "M12 8h.01"],
  down: ["M12 5v14", "M6 13l6 6 6-6"],
  bell: ["M5 17a7 7 0 0 1 14 0z", "M4 20h16", "M12 10V7.5", "M10.5 7h3"],
};

/** Creates the icon of this name. It is decoration, so it is hidden from assistive technology. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.classList.add("icon", `icon-${name}`);
  for (const d of STROKES[name]) {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("d", d);
    svg.append(path);
  }
  return svg;
}
