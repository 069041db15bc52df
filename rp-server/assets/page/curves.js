// Which curves there are: of what figure, under what name, in what unit. How they are drawn is chart.js's.

import { at } from "./words.js";

const line = (name, path, as = "rate") => ({ key: path, name, path, as, of: (snapshot) => at(snapshot, path) });
const derived = (name, key, as, of) => ({ key, name, as, of });
const LATENCY = [["p50", "p50"], ["p90", "p90"], ["p99", "p99"], ["p99.9", "p999"], ["longest", "max"]];
const COMMIT = [["p50", "p50"], ["p99", "p99"], ["longest", "max"]];
const quantiles = (of, names) => names.map(([name, key]) => line(name, `${of}.${key}`, "us"));

const PLACE = "kernel.rates.places";
/** Where a request goes that the gate does not answer. */
const UPWARDS = ["passed_here", "sent_to_cpu", "sent_to_xsk", "redirect_failed"];
/** More cores than this are drawn as three curves. */
const CORES_MAX = 8;

const sum = (numbers) => numbers.reduce((all, number) => all + (number ?? 0), 0);
const shares = (snapshot) => snapshot.cpus.map((cpu) => cpu.busy_share);

const fixed = (...lines) => () => lines;

/** By the name in `data-chart`: curves, kind of scale, and what stands there when there is nothing to draw. */
export const CHARTS = {
  requests: {
    lines: fixed(
      line("asked", "rates.asked_per_s"),
      line("answered by the gate", "rates.kernel_answered_per_s"),
      line("answered by workers", "rates.workers_answered_per_s"),
    ),
  },
  frames: {
    empty: "There is no gate: XDP is off, and workers do all.",
    lines: (snapshot) => (snapshot.kernel === null ? [] : [
      line("seen", `${PLACE}.seen.datagrams`),
      line("answered", `${PLACE}.answered.datagrams`),
      derived("to the workers", "frames.up", "rate", (of) => sum(UPWARDS.map((place) => at(of, `${PLACE}.${place}.datagrams`)))),
      derived("dropped", "frames.dropped", "rate", (of) => sum(Object.values(at(of, "kernel.rates.reasons") ?? {}).map((row) => row.datagrams))),
      line("not ours", `${PLACE}.not_ours.datagrams`),
    ]),
  },
  reasons: {
    empty: "Nothing was dropped in these minutes.",
    isSparse: true,
    lines: (snapshot) => Object.keys(snapshot.rates.dropped).map((name) => line(name, `rates.dropped.${name}`)),
  },
  latency: {
    scale: "log",
    lines: fixed(...quantiles("latency_us.worker", LATENCY)),
    beside: line("answers", "latency_us.worker.count", "count"),
  },
  durable: {
    scale: "log",
    lines: fixed(...quantiles("latency_us.durable", LATENCY)),
    beside: line("answers", "latency_us.durable.count", "count"),
  },
  commits: {
    scale: "log",
    lines: fixed(...quantiles("commit_us", COMMIT)),
    beside: line("commits", "commit_us.count", "count"),
  },
  prizes: {
    lines: fixed(line("released", "rates.prizes_released_per_s"), line("got", "rates.prizes_got_per_s")),
  },
  packets: {
    lines: fixed(
      line("made", "rates.packets_made_per_s"),
      line("shares taken", "rates.shares_taken_per_s"),
      line("refunded", "rates.packets_refunded_per_s"),
    ),
    beside: line("open", "status.money.open.count", "count"),
  },
  sessions: {
    lines: fixed(line("open", "status.sessions", "count")),
    beside: line("log-ins per second", "rates.logins_per_s"),
  },
  cpus: {
    scale: "share",
    lines: (snapshot) => (snapshot.cpus.length <= CORES_MAX
      ? snapshot.cpus.map(({ cpu }, row) => line(`core ${cpu}`, `cpus.${row}.busy_share`, "percent"))
      : [
        derived("busiest", "cpus.busiest", "percent", (of) => Math.max(...shares(of))),
        derived("mean", "cpus.mean", "percent", (of) => sum(shares(of)) / of.cpus.length),
        derived("calmest", "cpus.calmest", "percent", (of) => Math.min(...shares(of))),
      ]),
  },
};

/** Seconds that are kept: as many as the longest time that may be chosen. */
export const KEPT_S = 900;

/** What the curves need of each second, the oldest first. */
export class Past {
  constructor() {
    this.rows = [];
  }

  /** Adds a second. After a clock that was set back, those that come again are gone. */
  add(snapshot) {
    const row = { second: snapshot.unix_s };
    for (const chart of Object.values(CHARTS)) {
      for (const { key, of } of [...chart.lines(snapshot), chart.beside ?? []].flat()) row[key] = of(snapshot) ?? null;
    }
    this.rows = this.rows.filter(({ second }) => second < row.second && second > row.second - KEPT_S);
    const last = this.rows.at(-1);
    // One row of nothing parts the curves where seconds are missing.
    if (last && row.second - last.second > 1) this.rows.push({ second: last.second + 1 });
    this.rows.push(row);
  }

  /** The rows after a second, up to another. */
  between(after, last) {
    return this.rows.filter(({ second }) => second > after && second <= last);
  }
}
