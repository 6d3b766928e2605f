// The history of one word: its count in each window.

import { columnChart } from "./charts.js";
import { number, shown, size, span } from "./format.js";
import { Question } from "./question.js";

const ROWS = 8;
const MIN_COLUMNS = 12;
const MAX_COLUMNS = 1500;
const id = (name) => document.getElementById(name);

/** `newest()` returns the start of the newest window; `onChange(word)` gets the open word or null. */
export class WordHistory {
  #word = null;
  #chart = null;
  #newest;
  #onChange;
  #settings = { window_ms: null, hop_ms: null };
  #question = new Question();
  #opener = null;
  #answered = false;

  constructor(newest, onChange) {
    this.#newest = newest;
    this.#onChange = onChange;
    id("word-close").addEventListener("click", () => this.close());
    id("word").addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.close();
    });
  }

  get word() {
    return this.#word;
  }

  configure(settings) {
    this.#settings = settings;
  }

  /** Open the history of a word and move the focus there. */
  open(word, opener = document.activeElement) {
    if (this.#word === null) this.#opener = opener;
    id("word").hidden = false;
    this.#name(word);
    this.#describe("Looking up the word");
    this.#answered = false;
    id("word-table").hidden = id("word-plot").hidden = true;
    id("word-title").focus({ preventScroll: true });
    id("word").scrollIntoView({ block: "nearest" });
    this.#question.put("/api/words", { word }, {
      answered: (answer) => this.#answer(answer),
      failed: (error) => this.#fail(error),
    });
  }

  close() {
    this.#question.drop();
    this.#word = null;
    id("word").hidden = true;
    this.#onChange(null);
    const target = this.#opener?.isConnected ? this.#opener : id("query");
    target.focus();
    this.#opener = null;
  }

  #name(word) {
    this.#word = word;
    id("word-title").firstElementChild.textContent = shown(word, size(word), 120);
    this.#onChange(word);
  }

  #answer({ word, windows }) {
    if (word !== this.#word) this.#name(word); // the worker has case-folded it
    this.#show(windows.map(({ start, end, count }) => [Date.parse(start), end && Date.parse(end), count]));
    return (this.#answered = true);
  }

  /** Show why there is no answer; returns whether to retry. */
  #fail({ status, message }) {
    // An earlier answer stays on the page: the workers answer again once they have settled.
    if (status === 400) this.#describe(`The word can't be looked up: ${message}.`);
    else if (!this.#answered) this.#describe(`No answer at the moment: ${message}. The page retries.`);
    return status !== 400;
  }

  #describe(text) {
    if (id("word-summary").textContent !== text) id("word-summary").textContent = text;
  }

  #show(found) {
    const total = found.reduce((sum, [, , count]) => sum + count, 0);
    const endless = this.#settings.window_ms === null;
    id("word-plot").hidden = id("word-table").hidden = !found.length || endless;
    if (!found.length) {
      const written = "Words are counted as written: “The” is not “the”.";
      const hint = this.#settings.words === "whitespace" ? ` ${written}` : "";
      this.#describe(`The word does not occur in any stored window.${hint}`);
      return;
    }
    if (endless) {
      this.#describe(`${number(total)} times so far.`);
      return;
    }
    const most = found.reduce((best, window) => (window[2] > best[2] ? window : best));
    this.#describe(
      found.length === 1
        ? `In one window: ${number(total)} times.`
        : `In ${number(found.length)} windows, most often ${span(most[0], most[1])}: ${number(most[2])} times.`,
    );
    this.#draw(found);
    this.#fillTable(found);
  }

  #draw(found) {
    const { hop_ms: hop } = this.#settings;
    const counts = new Map(found.map(([start, , count]) => [start, count]));
    // A window from a clock that is ahead would compress all other columns, so it is left out.
    const to = this.#newest() ?? found[0][0];
    const since = Math.min(...counts.keys(), to - (MIN_COLUMNS - 1) * hop);
    const columns = Math.min(MAX_COLUMNS, Math.floor((to - since) / hop) + 1);
    // The answer lacks the windows in which the word does not occur: they are zeros.
    const times = Array.from({ length: columns }, (_, at) => to - (columns - 1 - at) * hop);
    this.#chart ??= columnChart(id("word-plot"), this.#settings.hop_ms / 1000);
    this.#chart.setData([times.map((ms) => ms / 1000), times.map((ms) => counts.get(ms) ?? 0)]);
    const last = found.find(([start]) => start <= to) ?? found[0];
    id("word-plot").setAttribute(
      "aria-label",
      `Columns, one a window. Newest: ${number(last[2])} in ${span(last[0], last[1])}. The table below has the numbers.`,
    );
  }

  #fillTable(found) {
    const rows = found.slice(0, ROWS).map(([start, end, count]) => {
      const row = document.createElement("tr");
      const when = document.createElement("th");
      when.scope = "row";
      when.textContent = span(start, end);
      const cell = document.createElement("td");
      cell.textContent = number(count);
      row.append(when, cell);
      return row;
    });
    id("word-table").tBodies[0].replaceChildren(...rows);
  }
}
