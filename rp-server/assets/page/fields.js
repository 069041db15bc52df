// Elements that say by `data-field` which figure of the snapshot they show, and by `data-as` how it is written.

import { at, write } from "./words.js";

/** Writes text where it is another: what stays the same costs no layout. */
export function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Fills every such element with this snapshot. */
export function fill(snapshot) {
  for (const element of document.querySelectorAll("[data-field]")) {
    put(element, write(at(snapshot, element.dataset.field), element.dataset.as));
  }
}

/** An element with attributes and children. */
export function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/** A cell of a table that shows a figure. */
export function cell(field, as = "count") {
  return make("td", { "data-field": field, "data-as": as });
}
