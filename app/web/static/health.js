// The troubles of the workers, one sentence each; the totals; the list of workers.

import { duration, number } from "./format.js";

const host = (url) => url.replace(/^https?:\/\//u, "");

const STATES = {
  starting: "is starting",
  recovering: "recovers its part of the table from the changelog",
  rebalancing: "waits while partitions change hands",
  stopping: "is stopping",
};

/**
 * Troubles, the gravest first: {grave, title, text}. Their texts have no numbers that change each
 * second, or a screen reader would read the banner each second.
 */
export function troubles(state) {
  const { workers, silent } = state.status;
  const found = [];
  for (const worker of workers.filter((each) => each.state === "failed")) {
    const reason = worker.reasons.find((text) => text.includes("failed")) ?? "the worker has failed";
    found.push({ grave: true, title: `${host(worker.url)} has failed.`, text: reason });
  }
  if (workers.some(({ kafka }) => kafka === false)) {
    found.push({
      grave: true,
      title: "Kafka is away.",
      text: "Nothing is lost. Counting resumes once Kafka is back.",
    });
  }
  const untaken = ({ reasons }) => reasons.some((text) => text.startsWith("Cassandra"));
  if (workers.some((worker) => worker.cassandra === false || untaken(worker))) {
    found.push({
      grave: true,
      title: "Cassandra is away.",
      text: "Counting continues. Changed counts wait here and are written once Cassandra is back.",
    });
  }
  for (const { url, reason } of silent) {
    found.push({
      grave: false,
      title: `${host(url)} does not answer.`,
      text: `${reason}. If it stays silent, other workers take over its partitions.`,
    });
  }
  for (const worker of workers.filter((each) => each.state in STATES)) {
    found.push({
      grave: false,
      title: `${host(worker.url)} ${STATES[worker.state]}.`,
      text: "Nothing is lost. The counts appear again once that is done.",
    });
  }
  if (!found.length && state.reason) {
    found.push({ grave: false, title: "No counts at the moment.", text: `${state.reason}.` });
  }
  return found;
}

/** The pill at the top: [kind, a word or two]. */
export function summary(state, found) {
  if (found.some(({ grave }) => grave)) return ["bad", found[0].title.replace(/\.$/u, "")];
  if (!found.length) return ["good", "Live"];
  const worker = state.status.workers.find((each) => each.state in STATES);
  const word = worker ? worker.state : "waiting";
  return ["waiting", word[0].toUpperCase() + word.slice(1)];
}

/** Sums over all workers; null if unknown. */
export function totals(state) {
  const { workers, silent } = state.status;
  const parts = workers.flatMap(({ partitions }) => partitions);
  const lags = parts.map((part) => part.lines_lag);
  const flushes = workers.filter((worker) => worker.last_flush).map((worker) => Date.parse(worker.last_flush));
  const sum = (values) => values.reduce((all, value) => all + value, 0);
  return {
    lag: silent.length || lags.includes(null) || !lags.length ? null : sum(lags),
    rows: sum(parts.map((part) => part.rows_waiting)),
    late: sum(workers.map((worker) => worker.late)),
    rejected: sum(workers.map((worker) => worker.rejected)),
    flush: flushes.length ? (state.at - Math.min(...flushes)) / 1000 : null,
    behind: Math.max(0, ...workers.map((worker) => worker.unflushed_seconds)),
  };
}

function ranges(numbers) {
  const parts = [];
  for (const value of numbers) {
    const last = parts.at(-1);
    if (last && value === last[1] + 1) last[1] = value;
    else parts.push([value, value]);
  }
  return parts.map(([from, to]) => (from === to ? from : `${from}–${to}`)).join(", ");
}

function facts(worker, at) {
  const { partitions } = worker;
  const owned = partitions.map((part) => part.partition);
  const lags = partitions.map((part) => part.lines_lag);
  const lag = lags.includes(null) ? "unknown" : number(lags.reduce((all, value) => all + value, 0));
  const points = partitions.map((part) => part.last_checkpoint).filter(Boolean);
  const age = points.length ? (at - Date.parse(points.toSorted().at(-1))) / 1000 : null;
  return [
    ...(worker.recovery_remaining ? [["To recover", number(worker.recovery_remaining)]] : []),
    ["Partitions", owned.length ? ranges(owned) : "none"],
    ["Lag", lag],
    ["Rows waiting", number(partitions.reduce((all, part) => all + part.rows_waiting, 0))],
    ["Checkpoint", age === null ? "none yet" : `${duration(age)} ago`],
  ];
}

function item(url) {
  const made = document.createElement("li");
  made.innerHTML = '<p class="who"><span class="dot"></span><strong></strong><span></span></p><dl></dl>';
  made.querySelector("strong").textContent = host(url);
  made.dataset.url = url;
  return made;
}

function fill(made, kind, state, pairs) {
  made.querySelector(".dot").dataset.state = kind;
  made.querySelector(".who span:last-child").textContent = state;
  const list = made.querySelector("dl");
  if (list.children.length !== pairs.length) {
    list.replaceChildren(
      ...pairs.map(([name]) => {
        const pair = document.createElement("div");
        const term = document.createElement("dt");
        term.textContent = name;
        pair.append(term, document.createElement("dd"));
        return pair;
      }),
    );
  }
  pairs.forEach(([, value], at) => {
    list.children[at].lastChild.textContent = value;
  });
}

/** Show all workers in a list; a worker that stays keeps its element. */
export function showWorkers(list, state) {
  const known = new Map([...list.children].map((made) => [made.dataset.url, made]));
  const made = [...state.status.workers, ...state.status.silent].map((worker) => {
    const each = known.get(worker.url) ?? item(worker.url);
    if (worker.state === undefined) fill(each, "bad", "does not answer", []);
    else {
      const kind = worker.state === "working" ? "good" : worker.state === "failed" ? "bad" : "waiting";
      fill(each, kind, worker.state, facts(worker, state.at));
    }
    return each;
  });
  if (made.length !== list.children.length || made.some((each, at) => each !== list.children[at])) {
    list.replaceChildren(...made);
  }
}
