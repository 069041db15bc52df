// How a figure is written: thousands apart, with its unit. Whoever tests the page writes them once more by the same rules.

// Narrow and without a break, so that a figure stays whole at the end of a line.
export const GAP = "\u202f";
const NONE = "–";

/** A whole number with its thousands apart. */
export function count(value) {
  const digits = String(Math.abs(Math.round(value)));
  return (value < 0 ? "−" : "") + digits.replace(/\B(?=(\d{3})+$)/g, GAP);
}

/** Per second: below ten with one decimal, unless that is nought. */
export function rate(value) {
  const tenths = Math.round(value * 10);
  return value < 10 && tenths % 10 !== 0 ? (tenths / 10).toFixed(1) : count(value);
}

/** Fen as yuan. */
export function yuan(fen) {
  const whole = Math.abs(fen);
  const rest = String(whole % 100).padStart(2, "0");
  return `${fen < 0 ? "−" : ""}${count(Math.floor(whole / 100))}.${rest}`;
}

/** Microseconds, in the unit that leaves at most three digits before the point. */
export function us(value) {
  if (value < 1000) return `${count(value)}${GAP}µs`;
  if (value < 1_000_000) return `${(Math.round(value / 100) / 10).toFixed(1)}${GAP}ms`;
  return `${(Math.round(value / 10_000) / 100).toFixed(2)}${GAP}s`;
}

/** A share of one, in per cent. */
export function percent(share) {
  return `${(Math.round(share * 1000) / 10).toFixed(1)}${GAP}%`;
}

/** Bytes in millions. */
export function bytes(value) {
  return `${(Math.round(value / 100_000) / 10).toFixed(1)}${GAP}MB`;
}

/** A time that a server or a silence has lasted. */
export function seconds(value) {
  const whole = Math.floor(value);
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  if (hours > 0) return `${count(hours)}${GAP}h ${minutes}${GAP}min`;
  return minutes > 0 ? `${minutes}${GAP}min ${rest}${GAP}s` : `${rest}${GAP}s`;
}

/** A second since 1970 as the time of day here. */
export function clock(unixS) {
  const time = new Date(unixS * 1000);
  return [time.getHours(), time.getMinutes(), time.getSeconds()].map((part) => String(part).padStart(2, "0")).join(":");
}

const WAYS = {
  count, rate, yuan, us, percent, bytes, seconds,
  plain: String,
  on: (value) => (value ? "on" : "off"),
  balanced: (value) => (value ? "balanced" : "not balanced"),
};

/** A figure in the way that its element asks for by `data-as`; what is not there is a dash. */
export function write(value, way = "count") {
  return value === null || value === undefined ? NONE : WAYS[way](value);
}

/** What is at a path of a snapshot, such as `status.money.made.fen`. */
export function at(snapshot, path) {
  return path.split(".").reduce((inside, name) => inside?.[name], snapshot);
}
