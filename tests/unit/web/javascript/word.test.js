// Runs with TZ=Europe/Berlin and English texts.
import assert from "node:assert/strict";
import { afterEach, mock, test } from "node:test";

import { Element, openDocument } from "./dom.js";
import { until } from "./settling.js";

openDocument();
const { WordHistory } = await import("../../../../app/web/static/word.js");

const MINUTE_MS = 60000;
const START_MS = Date.parse("1999-05-01T10:00:00Z");
const iso = (ms) => new Date(ms).toISOString();
const windowsOf = (...counts) =>
  counts.map(([minute, count]) => ({
    start: iso(START_MS + minute * MINUTE_MS),
    end: iso(START_MS + (minute + 1) * MINUTE_MS),
    count,
  }));

let charts = [];

/** A history beside a search field, whose newest window starts `newest` minutes after the first. */
function opened(answer, { settings = {}, newest = 20 } = {}) {
  openDocument("word", "word-close", "word-title", "word-summary", "word-plot", "word-table", "query");
  document.getElementById("word-title").append(new Element("bdi"));
  document.getElementById("word-table").append(new Element("tbody"));
  charts = [];
  globalThis.uPlot = class {
    static paths = { bars: () => null };
    constructor() {
      this.root = document.createElement("div");
      charts.push(this);
    }
    setData(data) {
      this.data = data;
    }
  };
  mock.method(globalThis, "fetch", async () => answer);
  const changes = [];
  const history = new WordHistory(() => START_MS + newest * MINUTE_MS, (word) => changes.push(word));
  history.configure({ window_ms: MINUTE_MS, hop_ms: MINUTE_MS, words: "whitespace", ...settings });
  return { history, changes };
}

const summary = () => document.getElementById("word-summary").textContent;

async function lookedUp(word, answer, more) {
  const found = opened(answer, more);
  found.history.open(word, document.getElementById("query"));
  await until(() => summary() !== "Looking up the word");
  return found;
}

afterEach(() => mock.restoreAll());

test("a word in several windows has a summary, columns and a table", async () => {
  const answer = Response.json({ word: "the", windows: windowsOf([20, 3], [18, 5]) });
  const { changes } = await lookedUp("the", answer);
  assert.equal(summary(), "In 2 windows, most often May 1, 1999, 12:18–12:19: 5 times.");
  const [times, counts] = charts[0].data;
  assert.equal(times.length, 12);
  assert.deepEqual(counts.slice(-3), [5, 0, 3]);
  const rows = document.getElementById("word-table").tBodies[0].children;
  assert.deepEqual(rows.map((row) => row.textContent), ["May 1, 1999, 12:20–12:213", "May 1, 1999, 12:18–12:195"]);
  assert.deepEqual(changes, ["the"]);
});

test("a window from a clock that is ahead is in the table, but not in the columns", async () => {
  const answer = Response.json({ word: "the", windows: windowsOf([9000, 1], [20, 3]) });
  await lookedUp("the", answer);
  assert.equal(charts[0].data[1].at(-1), 3);
  assert.equal(document.getElementById("word-table").tBodies[0].children.length, 2);
});

test("a word in one window has a short summary", async () => {
  await lookedUp("the", Response.json({ word: "the", windows: windowsOf([20, 3000]) }));
  assert.equal(summary(), "In one window: 3,000 times.");
});

test("running totals have a number and no columns", async () => {
  const answer = Response.json({ word: "the", windows: [{ start: iso(0), end: null, count: 7 }] });
  await lookedUp("the", answer, { settings: { window_ms: null, hop_ms: null } });
  assert.equal(summary(), "7 times so far.");
  assert.equal(document.getElementById("word-plot").hidden, true);
});

test("an unknown word gets a hint about upper case, unless words are case-folded", async () => {
  await lookedUp("Zebra", Response.json({ word: "Zebra", windows: [] }));
  assert.match(summary(), /^The word does not occur in any stored window. Words are counted as written/u);
  await lookedUp("Zebra", Response.json({ word: "zebra", windows: [] }), { settings: { words: "unicode" } });
  assert.equal(summary(), "The word does not occur in any stored window.");
});

test("the title is the word as the worker counts it", async () => {
  const { changes } = await lookedUp("Straße", Response.json({ word: "strasse", windows: [] }));
  assert.equal(document.getElementById("word-title").textContent, "strasse");
  assert.deepEqual(changes, ["Straße", "strasse"]);
});

test("a refused word and a busy worker are reported with the reason", async () => {
  await lookedUp("x", Response.json({ error: "the word is empty" }, { status: 400 }));
  assert.equal(summary(), "The word can't be looked up: the word is empty.");
  const { history } = await lookedUp("x", Response.json({ error: "a rebalance is under way" }, { status: 503 }));
  assert.equal(summary(), "No answer at the moment: a rebalance is under way. The page retries.");
  history.close();
});

test("closing hides the history and returns the focus", async () => {
  const { history, changes } = await lookedUp("the", Response.json({ word: "the", windows: [] }));
  assert.equal(document.activeElement, document.getElementById("word-title"));
  document.getElementById("word").emit("keydown", { key: "Escape" });
  assert.equal(history.word, null);
  assert.equal(document.getElementById("word").hidden, true);
  assert.equal(document.activeElement, document.getElementById("query"));
  assert.deepEqual(changes, ["the", null]);
});
