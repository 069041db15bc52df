// The page: takes each snapshot, shows it, and says what the line to the server is.

import { Chart, recolour } from "./chart.js";
import { CHARTS, Past } from "./curves.js";
import { fill, put } from "./fields.js";
import { Link } from "./link.js";
import { tellMoney } from "./money.js";
import { tellSets } from "./sets.js";
import { lay, tellCampaign, tellDropped } from "./tables.js";
import { clock, seconds } from "./words.js";

/** The form of snapshots that this page knows. */
const SCHEMA = 1;

const find = (query) => document.querySelector(query);
const past = new Past();
const charts = [...document.querySelectorAll("[data-chart]")].map((section) => new Chart(section, CHARTS[section.dataset.chart]));
/** The newest snapshot, and the one that is shown. */
let newest = null;
let shown = null;
let isHeld = false;
/** Since when there is no line, and why. */
let lost = null;

/** Shows one snapshot, whatever it says. */
export function show(snapshot) {
  shown = snapshot;
  lay(snapshot);
  tellSets(snapshot);
  tellDropped(snapshot);
  tellCampaign(snapshot);
  tellMoney(snapshot);
  drawCharts();
  fill(snapshot);
  put(find("#clock"), clock(snapshot.unix_s));
  find("#clock").dateTime = new Date(snapshot.unix_s * 1000).toISOString();
  document.body.dataset.second = snapshot.unix_s;
}

function drawCharts() {
  const spanS = Number(find("input[name=window]:checked").value);
  const rows = past.between(shown.unix_s - spanS, shown.unix_s);
  charts.forEach((chart) => chart.draw(shown, rows, spanS));
}

function showNewest() {
  // Nobody sees a page in the background; it is drawn when it comes to the front.
  if (newest && !isHeld && !document.hidden) show(newest);
}

function take(snapshots) {
  for (const snapshot of snapshots) {
    if (snapshot.schema !== SCHEMA) throw new Error(`its snapshots are of schema ${snapshot.schema}, this page knows ${SCHEMA}: load the page again`);
    past.add(snapshot);
  }
  newest = snapshots.at(-1);
  showNewest();
}

function tell(state, why) {
  lost = state === "lost" ? { since: lost?.since ?? performance.now(), why } : null;
  document.body.dataset.link = state;
  tellLink();
}

function tellLink() {
  const held = isHeld ? `held at ${clock(shown.unix_s)}` : "live";
  const forS = lost && seconds((performance.now() - lost.since) / 1000);
  put(find("#link-text"), lost ? `connection lost for ${forS}: ${lost.why}; trying again` : held);
  find("#link").className = `sign ${lost ? "bad" : isHeld ? "wait" : "good"}`;
  const title = lost ? "connection lost – red packet" : "red packet";
  if (document.title !== title) document.title = title;
}

find("#controls").addEventListener("change", () => shown && drawCharts());
find("#hold").addEventListener("click", (event) => {
  if (!shown) return;
  isHeld = !isHeld;
  event.target.setAttribute("aria-pressed", isHeld);
  tellLink();
  showNewest();
});
document.addEventListener("visibilitychange", showNewest);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour);
setInterval(() => lost && tellLink(), 1000);
new Link(take, tell).run();
