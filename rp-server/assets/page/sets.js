// Sessions by SET: a strip of cells, darker where there are more, and the same as a table.

import { cell, make, put } from "./fields.js";
import { count } from "./words.js";

/** Columns of the table. */
const COLUMNS = 8;

const strip = document.querySelector("#sets-strip");
const said = document.querySelector("#sets-said");
let sessions = [];
let chosen = null;

/** Shows the sessions of each SET. */
export function tellSets(snapshot) {
  sessions = snapshot.sets;
  if (strip.children.length !== sessions.length) build();
  const most = Math.max(1, ...sessions);
  [...strip.children].forEach((spot, set) => spot.style.setProperty("--share", sessions[set] / most));
  put(document.querySelector("#sets-number"), count(sessions.length));
  put(document.querySelector("#sets-most"), count(most));
  say();
}

function build() {
  strip.replaceChildren(...sessions.map((_, set) => make("span", { "data-set": set })));
  strip.setAttribute("aria-valuemin", 0);
  strip.setAttribute("aria-valuemax", sessions.length - 1);
  const table = document.querySelector("#sets-table");
  const heads = Array.from({ length: COLUMNS }, (_, column) => make("th", { scope: "col" }, `+${column}`));
  table.tHead.replaceChildren(make("tr", {}, make("th", { scope: "col" }, "SET"), ...heads));
  const starts = Array.from({ length: Math.ceil(sessions.length / COLUMNS) }, (_, row) => row * COLUMNS);
  table.tBodies[0].replaceChildren(...starts.map((first) => {
    const inRow = sessions.slice(first, first + COLUMNS).map((_, at) => cell(`sets.${first + at}`));
    return make("tr", {}, make("th", { scope: "row" }, String(first)), ...inRow);
  }));
}

function say() {
  if (chosen === null || chosen >= sessions.length) return;
  const words = `SET ${chosen}: ${count(sessions[chosen])} sessions`;
  put(said, words);
  strip.setAttribute("aria-valuenow", chosen);
  strip.setAttribute("aria-valuetext", words);
}

function choose(set) {
  if (sessions.length === 0) return;
  strip.querySelector(".chosen")?.classList.remove("chosen");
  chosen = Math.min(Math.max(set, 0), sessions.length - 1);
  strip.children[chosen].classList.add("chosen");
  say();
}

strip.addEventListener("pointerover", (event) => {
  if (event.target.dataset.set) choose(Number(event.target.dataset.set));
});
strip.addEventListener("focus", () => choose(chosen ?? 0));
strip.addEventListener("keydown", (event) => {
  const columns = getComputedStyle(strip).gridTemplateColumns.split(" ").length;
  const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns, Home: -sessions.length, End: sessions.length };
  if (!(event.key in steps)) return;
  event.preventDefault();
  choose((chosen ?? 0) + steps[event.key]);
});
