// Building the document. Data enters as text nodes and attribute values only.

const byId = (id) => document.getElementById(id);

const fill = (element, attributes, children) => {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
};

/** An HTML element with attributes and children; strings become text. */
const html = (tag, attributes = {}, ...children) =>
  fill(document.createElement(tag), attributes, children);

/** The same for SVG. */
const svg = (tag, attributes = {}, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

/** Sets text only when it differs, so that selections survive. */
const setText = (id, text) => {
  const element = byId(id);
  if (element.textContent !== text) element.textContent = text;
};

const drawn = new Map();

/** Draws a part anew when its data changed since the last time. */
const whenChanged = (part, data, draw) => {
  const key = JSON.stringify(data);
  if (drawn.get(part) === key) return;
  drawn.set(part, key);
  draw();
};

/** An address, short for the eye and whole for the pointer, with a pebble of its own colour. */
const address = (hex) => {
  const hue = Math.round((parseInt(hex.slice(0, 4), 16) / 65535) * 360) || 0;
  const lightness = 46 + ((parseInt(hex.slice(4, 6), 16) || 0) / 255) * 22;
  const pebble = html("span", { class: "pebble", "aria-hidden": "true" });
  pebble.style.background = `hsl(${hue} 26% ${lightness}%)`;
  return html("span", { title: hex }, pebble, html("code", {}, short(hex)));
};

/** A table with a caption for screen readers; `columns` are [title, class] pairs. */
const table = (caption, columns, rows) =>
  html(
    "table",
    {},
    html("caption", { class: "hidden" }, caption),
    html(
      "thead",
      {},
      html("tr", {}, ...columns.map(([title, kind]) => html("th", { scope: "col", class: kind }, title))),
    ),
    html("tbody", {}, ...rows),
  );

const amountCell = (value, kind = "") =>
  html("td", { class: `number ${value ? kind : "zero"}` }, whole(value));
