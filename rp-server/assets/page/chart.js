// One chart: curves by uPlot, which draws on a canvas, and beside it a table that says the same for whoever cannot see it.
//
// All charts share one mark, a second that their tables tell the figures of. It follows the pointer or the arrow keys.

import { make, put } from "./fields.js";
import { clock, rate, percent, us, write } from "./words.js";

/* global uPlot */

const HEIGHT_PX = 140;
/** Colour alone tells nothing apart: each curve has its own dashes, too. */
const DASHES = [[], [8, 4], [2, 3], [12, 3, 2, 3], [5, 2], [1, 5], [14, 5], [6, 2, 1, 2, 1, 2]];
const AXIS_WAYS = { share: percent, log: us, linear: rate };
const LETTER_PX = 6.6;

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const colourOf = (number) => colour(`--curve-${number % DASHES.length}`);

/** Every chart, from the top of the page. */
export const charts = [];
let mark = null;

/** Puts the mark of every chart on a second, or takes it away. */
function setMark(second, isPinned) {
  mark = second === null ? null : { second, isPinned };
  charts.forEach((chart) => chart.tellMark());
}

/** Draws anew, as colours have changed. */
export function recolour() {
  charts.forEach((chart) => chart.plot?.redraw());
}

/** The chart of a section of the page. */
export class Chart {
  constructor(section, plan) {
    this.plan = plan;
    this.title = section.querySelector("h2").textContent.replace(/\s+/g, " ").trim();
    this.keys = null;
    this.rows = [];
    const id = `${section.dataset.chart}-figures`;
    this.box = make("div", { class: "plot", tabindex: 0, role: "slider", "aria-label": `${this.title}: mark`, "aria-describedby": id });
    this.empty = make("p", { class: "empty" });
    this.body = make("tbody");
    const heads = ["Curve", "now", "at the mark"].map((name) => make("th", { scope: "col" }, name));
    this.markHead = heads[2];
    this.table = make("table", { id, class: "curves" }, make("caption", { class: "hear" }, this.title), make("thead", {}, make("tr", {}, ...heads)), this.body);
    section.querySelector("h2").after(this.box, this.empty, this.table);
    this.box.addEventListener("keydown", (event) => this.press(event));
    this.box.addEventListener("blur", () => mark?.isPinned && setMark(null));
    new ResizeObserver(() => this.fit()).observe(this.box);
    charts.push(this);
  }

  /** Shows these rows, of a span that ends with the snapshot. */
  draw(snapshot, rows, spanS) {
    this.rows = rows;
    this.span = [snapshot.unix_s - spanS, snapshot.unix_s];
    this.choose(snapshot, rows);
    const hasLines = this.lines.length > 0;
    this.box.hidden = !hasLines;
    this.table.hidden = !hasLines && !this.plan.beside;
    this.empty.hidden = hasLines;
    put(this.empty, this.plan.empty ?? "");
    if (!hasLines) return;
    const floor = (value) => (this.plan.scale === "log" && value !== null && value !== undefined ? Math.max(value, 1) : value ?? null);
    this.plot.setData([rows.map((row) => row.second), ...this.lines.map(({ key }) => rows.map((row) => floor(row[key])))], false);
    this.plot.batch(() => {
      this.plot.setScale("x", { min: this.span[0], max: this.span[1] });
      this.tellMark();
    });
    this.lines.filter(({ path }) => !path).forEach((line) => put(line.now, write(line.of(snapshot), line.as)));
  }

  /** Which curves there are; where they are others than before, the plot is made anew. */
  choose(snapshot, rows) {
    const { isSparse, lines, beside } = this.plan;
    const isThere = ({ key }) => !isSparse || rows.some((row) => row[key] > 0);
    const chosen = lines(snapshot).filter(isThere);
    const keys = chosen.map(({ key }) => key).join(" ");
    if (keys === this.keys) return;
    this.keys = keys;
    this.lines = chosen;
    this.plot?.destroy();
    this.plot = chosen.length > 0 ? new uPlot(this.options(), [[]], this.box) : null;
    this.body.replaceChildren(...chosen.map((line, number) => this.row(line, sample(number))), ...(beside ? [this.row(beside, "")] : []));
  }

  row(line, sign) {
    line.now = make("td", line.path ? { "data-field": line.path, "data-as": line.as } : {});
    line.then = make("td");
    return make("tr", {}, make("th", { scope: "row" }, sign, line.name), line.now, line.then);
  }

  options() {
    const { scale = "linear" } = this.plan;
    // Of a log scale the powers of ten alone.
    const filter = (plot, splits) => splits.map((value) => (scale !== "log" || Number.isInteger(Math.log10(value)) ? value : null));
    const grid = { stroke: () => colour("--grid"), width: 1 };
    const axis = { stroke: () => colour("--dim"), font: "11px system-ui, sans-serif", grid, ticks: { ...grid, size: 4 } };
    const ranges = {
      linear: (plot, min, max) => [0, max > 0 ? max * 1.08 : 1],
      share: () => [0, 1],
      log: (plot, min, max) => (min > 0 ? uPlot.rangeLog(min, max, 10, true) : [1, 1000]),
    };
    return {
      width: this.width(),
      height: HEIGHT_PX,
      legend: { show: false },
      padding: [8, 22, 0, 0],
      cursor: { y: false, drag: { x: false, y: false }, points: { show: false } },
      scales: { x: { time: true, auto: false }, y: { distr: scale === "log" ? 3 : 1, range: ranges[scale] } },
      axes: [
        { ...axis, size: 24, space: 70, values: (plot, splits) => splits.map(clock) },
        {
          ...axis,
          grid: { ...grid, filter },
          ticks: { ...axis.ticks, filter },
          gap: 3,
          space: 26,
          values: (plot, splits) => splits.map((value) => (value === null ? null : AXIS_WAYS[scale](value).replace(".0\u202f", "\u202f"))),
          size: (plot, words) => 10 + LETTER_PX * Math.max(3, ...(words ?? []).map((word) => String(word ?? "").length)),
        },
      ],
      series: [{}, ...this.lines.map((line, number) => ({
        label: line.name,
        stroke: () => colourOf(number),
        width: number === 0 ? 2 : 1.6,
        dash: DASHES[number % DASHES.length],
        points: { show: false },
      }))],
      hooks: { setCursor: [(plot) => this.point(plot)] },
    };
  }

  width() {
    return Math.max(200, Math.floor(this.box.clientWidth));
  }

  fit() {
    if (this.plot && this.box.clientWidth > 0 && this.plot.width !== this.width()) {
      this.plot.setSize({ width: this.width(), height: HEIGHT_PX });
    }
  }

  /** The pointer is over the plot, or has left it. */
  point(plot) {
    if (this.isMoving || !plot.cursor.event) return;
    const row = plot.cursor.idx === null || plot.cursor.left < 0 ? null : this.rows[plot.cursor.idx];
    if (row) setMark(row.second, false);
    else if (mark && !mark.isPinned) setMark(null);
  }

  press(event) {
    const steps = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -Infinity, End: Infinity };
    if (event.key === "Escape") return setMark(null);
    if (!(event.key in steps) || this.rows.length === 0) return;
    event.preventDefault();
    const last = this.rows.length - 1;
    const from = mark ? this.rows.findIndex((row) => row.second >= mark.second) : last;
    const to = Math.min(Math.max((from < 0 ? last : from) + steps[event.key], 0), last);
    setMark(this.rows[to].second, true);
  }

  /** Shows the mark: its line, and the figures of its second. */
  tellMark() {
    const row = mark && this.rows.find(({ second }) => second === mark.second);
    this.table.classList.toggle("marked", Boolean(row));
    put(this.markHead, row ? `at ${clock(row.second)}` : "at the mark");
    const lines = [...(this.lines ?? []), ...(this.plan.beside ? [this.plan.beside] : [])];
    lines.forEach((line) => line.then && put(line.then, row ? write(row[line.key], line.as) : ""));
    const words = row ? `${clock(row.second)}: ${lines.map((line) => `${line.name} ${write(row[line.key], line.as)}`).join(", ")}` : "no mark";
    const [from, to] = this.span ?? [0, 0];
    for (const [name, value] of [["valuemin", from], ["valuemax", to], ["valuenow", row ? row.second : to], ["valuetext", words]]) {
      this.box.setAttribute(`aria-${name}`, value);
    }
    if (!this.plot) return;
    this.isMoving = true;
    this.plot.setCursor({ left: row ? this.plot.valToPos(row.second, "x") : -10, top: row ? 1 : -10 }, false);
    this.isMoving = false;
  }
}

/** A piece of the curve for its row of the table. */
function sample(number) {
  const name = "http://www.w3.org/2000/svg";
  const picture = document.createElementNS(name, "svg");
  const stroke = document.createElementNS(name, "line");
  const set = (element, attributes) => Object.entries(attributes).forEach(([key, value]) => element.setAttribute(key, value));
  set(picture, { viewBox: "0 0 30 8", width: 30, height: 8, class: `sample curve-${number % DASHES.length}`, "aria-hidden": "true" });
  set(stroke, { x1: 0, x2: 30, y1: 4, y2: 4, "stroke-dasharray": DASHES[number % DASHES.length].join(" ") });
  picture.append(stroke);
  return picture;
}
