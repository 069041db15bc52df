// The line to the server: one stream of snapshots, taken up again when it breaks, and never silently.
//
// Where the server wants its token the browser asks for it by itself, once, and sends it with all that this page asks.

/** A stream that says nothing for so long is dead: a snapshot comes each second. */
const SILENCE_MS = 4000;
/** Pauses before another try; the last holds from there on. */
const PAUSES_MS = [1000, 1000, 2000, 3000, 5000];
/** Seconds of before that a page that is opened asks for, at most, and their characters. */
const BEFORE_S = 120;
const BEFORE_CHARACTERS = 4_000_000;

const pause = (ms) => new Promise((done) => setTimeout(done, ms));
// Whoever puts the token into the address of the page has it in every address that is relative to it, and those are refused.
const address = (path) => new URL(path, location.origin);

/** Calls `take` with the snapshots that came, and `tell` with what the line is: `live`, or `lost` and why. */
export class Link {
  constructor(take, tell) {
    this.take = take;
    this.tell = tell;
    this.newest = null;
  }

  /** Listens for as long as the page is open. */
  async run() {
    for (let failed = 0; ; failed += 1) {
      const heard = this.newest;
      const why = await this.listen().catch(reason);
      if (this.newest !== heard) failed = 0;
      this.tell("lost", why);
      await pause(PAUSES_MS[Math.min(failed, PAUSES_MS.length - 1)]);
    }
  }

  /** Listens until the stream ends; why it did. */
  async listen() {
    const end = new AbortController();
    let silence = setTimeout(() => end.abort(), SILENCE_MS);
    const ask = (path) => fetch(address(path), { signal: end.signal, cache: "no-store" });
    try {
      const since = this.newest ?? await before(ask);
      const response = await ask(`/events?since=${since}`);
      if (!response.ok) return refusal(response);
      const events = new Events();
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return "the server ended the stream";
        clearTimeout(silence);
        silence = setTimeout(() => end.abort(), SILENCE_MS);
        const snapshots = events.split(value).map((data) => JSON.parse(data));
        if (snapshots.length === 0) continue;
        this.take(snapshots);
        this.newest = snapshots.at(-1).unix_s;
        this.tell("live", "");
      }
    } finally {
      clearTimeout(silence);
      end.abort();
    }
  }
}

/** The second from which on to ask: what the server kept, as far as it is not too much for a slow line. */
async function before(ask) {
  const response = await ask("/status");
  if (response.status === 503) return 0;
  if (!response.ok) throw new Error(refusal(response));
  const text = await response.text();
  return JSON.parse(text).unix_s - Math.min(BEFORE_S, Math.floor(BEFORE_CHARACTERS / text.length)) - 1;
}

const refusal = (response) => `the server says ${response.status} ${response.statusText}`.trim();

function reason(error) {
  if (error.name === "AbortError") return "the server is silent";
  return error instanceof TypeError ? "the server cannot be reached" : String(error.message ?? error);
}

/** Takes server-sent events apart, as they come in pieces: https://html.spec.whatwg.org/multipage/server-sent-events.html */
class Events {
  constructor() {
    this.rest = "";
  }

  /** The data of each event that is whole by now. */
  split(text) {
    const parts = (this.rest + text).split("\n\n");
    this.rest = parts.pop();
    const data = (event) => event.split("\n").filter((line) => line.startsWith("data:")).map((line) => line.slice(5));
    return parts.map((event) => data(event).join("\n")).filter((words) => words.trim() !== "");
  }
}
