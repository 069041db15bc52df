// Tables whose rows are as many as the snapshot has: reasons, clients, cores, threads, workers.

import { cell, make, put } from "./fields.js";
import { count, rate } from "./words.js";

const body = (id) => document.querySelector(`#${id} tbody`);

/** Has as many rows as asked for, each made by its number. */
function keep(tbody, rows, row) {
  while (tbody.rows.length > rows) tbody.lastElementChild.remove();
  while (tbody.rows.length < rows) tbody.append(row(tbody.rows.length));
}

/** Has a row of each name, in their order. */
function keepNamed(tbody, names, row) {
  const key = names.join(" ");
  if (tbody.dataset.names === key) return;
  tbody.dataset.names = key;
  tbody.replaceChildren(...names.map(row));
}

const head = (field, as = "plain") => make("th", { scope: "row", "data-field": field, "data-as": as });

/** Makes the rows that this snapshot needs; `fill` writes into them. */
export function lay(snapshot) {
  keepNamed(body("reasons"), Object.keys(snapshot.rates.dropped), (name) =>
    make("tr", {}, make("th", { scope: "row" }, name), cell(`rates.dropped.${name}`, "rate"),
      cell(`kernel.totals.reasons.${name}.datagrams`), cell(`status.dropped.${name}`)));
  keep(body("clients"), snapshot.clients.length, (row) => {
    const of = `clients.${row}`;
    return make("tr", {}, head(`${of}.client`), cell(`${of}.sessions`), cell(`${of}.received`), cell(`${of}.dropped`),
      cell(`${of}.sent`), cell(`${of}.prizes.count`), cell(`${of}.prizes.fen`, "yuan"));
  });
  keep(body("cores"), snapshot.cpus.length, (row) => {
    const of = `kernel.cpus.${row}.rates.places`;
    return make("tr", {}, head(`cpus.${row}.cpu`), cell(`cpus.${row}.busy_share`, "percent"),
      cell(`${of}.seen.datagrams`, "rate"), cell(`${of}.answered.datagrams`, "rate"));
  });
  keep(body("threads"), snapshot.threads.length, (row) =>
    make("tr", {}, head(`threads.${row}.name`), cell(`threads.${row}.cpu_share`, "percent"),
      make("td", { class: "bar", "aria-hidden": "true" }, make("span"))));
  snapshot.threads.forEach((thread, row) => {
    const bar = body("threads").rows[row].querySelector(".bar span");
    bar.style.width = `${Math.min(thread.cpu_share, 1) * 100}%`;
  });
  keep(body("workers"), snapshot.status.workers.length, (row) => {
    const of = `status.workers.${row}`;
    return make("tr", {}, make("th", { scope: "row" }, String(row)), cell(`${of}.cpu`), cell(`${of}.sets`),
      cell(`${of}.received`), cell(`${of}.replied`), cell(`${of}.sent`));
  });
}

/** What is dropped in all, and what of it most. */
export function tellDropped(snapshot) {
  const rows = Object.entries(snapshot.rates.dropped);
  const all = rows.reduce((sum, [, perS]) => sum + perS, 0);
  const [name, most] = rows.reduce((most, row) => (row[1] > most[1] ? row : most), ["", 0]);
  put(document.querySelector("#dropped-per-s"), rate(all));
  put(document.querySelector("#dropped-most"), most > 0 ? `most: ${name}, ${rate(most)}/s` : "nothing in this second");
}

/** The campaign in one sentence. */
export function tellCampaign({ campaign }) {
  const words = () => {
    const { number, plan, released } = campaign;
    return `campaign ${number}: ${count(plan.rate)} prizes a second of ${count(plan.from_fen)} to ${count(plan.to_fen)} fen, ` +
      `${count(released)} released, ${count(plan.budget_fen)} fen left to release`;
  };
  put(document.querySelector("#campaign"), campaign ? words() : "no campaign is running");
}
