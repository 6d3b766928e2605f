// Server-sent events, read by fetch: unlike EventSource it tells a missing token from a lost worker.

const SILENT_MS = 10000; // the worker sends something each second
const HIDDEN_MS = 60000; // a page that nobody sees need not be kept up to date
const LONGEST_PAUSE_MS = 10000;

/**
 * Listens for ever. `on.event(name, data)`, `on.lost()` each time the connection fails, and
 * `on.denied()` once the worker wants a token; nothing more is asked then.
 */
export function listen(path, on) {
  let last = "";
  let tries = 0;
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
    tries = 0;
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
      // A thousand pages must not all come back at the same moment.
      const longest = Math.min(LONGEST_PAUSE_MS, 1000 * 2 ** tries++);
      await new Promise((resolve) => setTimeout(resolve, longest * (0.5 + Math.random() / 2)));
    }
  }

  document.addEventListener("visibilitychange", () => {
    clearTimeout(hiding);
    if (document.hidden) hiding = setTimeout(abort, HIDDEN_MS);
  });
  run();
}

/** The JSON of an answer; throws an Error that says why there is none, with its `status`. */
export async function ask(path, query = {}, signal) {
  const response = await fetch(`${path}?${new URLSearchParams(query)}`, { cache: "no-store", signal });
  const answer = await response.json().catch(() => ({}));
  if (response.ok) return answer;
  throw Object.assign(new Error(answer.error ?? response.statusText), { status: response.status });
}
