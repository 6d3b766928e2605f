// Server-sent events, read with fetch: EventSource cannot distinguish a missing token from a lost worker.

const SILENT_MS = 10000; // the worker sends a frame each second
const HIDDEN_MS = 60000; // a hidden page needs no events
const MAX_PAUSE_MS = 10000;

/**
 * Listens for ever. Calls `on.event(name, data)` for each event and `on.lost()` each time the
 * connection fails. Calls `on.denied()` if the worker requires a token, and stops.
 */
export function listen(path, on) {
  let last = "";
  let attempts = 0;
  let cancel = new AbortController();
  let hiding = 0;

  async function connect() {
    cancel = new AbortController();
    const headers = last ? { "Last-Event-ID": last } : {};
    const response = await fetch(path, { headers, cache: "no-store", signal: cancel.signal });
    if (response.status === 401) return false;
    if (!response.ok) throw new Error(`status ${response.status}`);
    await read(response.body.pipeThrough(new TextDecoderStream()).getReader());
    throw new Error("the stream has ended");
  }

  const abort = () => cancel.abort();

  async function read(reader) {
    let rest = "";
    let watchdog = 0;
    try {
      for (;;) {
        clearTimeout(watchdog);
        watchdog = setTimeout(abort, SILENT_MS);
        const { done, value } = await reader.read();
        if (done) return;
        const events = (rest + value).split("\n\n");
        rest = events.pop();
        for (const text of events) dispatch(text);
      }
    } finally {
      clearTimeout(watchdog);
    }
  }

  function dispatch(text) {
    const fields = Object.fromEntries(
      text.split("\n").map((line) => {
        const colon = line.indexOf(": ");
        return [line.slice(0, colon), line.slice(colon + 2)];
      }),
    );
    if (fields.id) last = fields.id;
    if (!fields.data) return;
    attempts = 0;
    on.event(fields.event, JSON.parse(fields.data));
  }

  const shownAgain = () =>
    new Promise((resolve) => {
      if (!document.hidden) return resolve();
      document.addEventListener("visibilitychange", resolve, { once: true });
    });

  async function run() {
    for (;;) {
      await shownAgain();
      try {
        if (!(await connect())) return on.denied();
      } catch {
        if (!document.hidden) on.lost();
      }
      // Exponential back-off with jitter: a thousand pages must not reconnect at the same moment.
      const longest = Math.min(MAX_PAUSE_MS, 1000 * 2 ** attempts++);
      await new Promise((resolve) => setTimeout(resolve, longest * (0.5 + Math.random() / 2)));
    }
  }

  document.addEventListener("visibilitychange", () => {
    clearTimeout(hiding);
    if (document.hidden) hiding = setTimeout(abort, HIDDEN_MS);
  });
  run();
}

/** The JSON of an answer; throws an Error with the worker's reason and the `status`. */
export async function ask(path, query = {}, signal) {
  const response = await fetch(`${path}?${new URLSearchParams(query)}`, { cache: "no-store", signal });
  const answer = await response.json().catch(() => ({}));
  if (response.ok) return answer;
  throw Object.assign(new Error(answer.error ?? response.statusText), { status: response.status });
}
