// Charts of the lines and words per second over the last minutes.

import { lineChart } from "./charts.js";
import { clock, clockWithSeconds, number, rate } from "./format.js";

const NOW_SECONDS = 5; // the present rate is the mean of so many seconds
const id = (name) => document.getElementById(name);
const mean = (values) => values.reduce((all, value) => all + value, 0) / (values.length || 1);

export class RateCharts {
  #points = new Map(); // second → [lines, words]
  #kept = 600;
  #charts = null;
  #describedAt = 0;

  configure({ kept_seconds: kept }) {
    this.#kept = kept;
    this.#charts ??= ["lines", "words"].map((name) =>
      lineChart(id(`${name}-plot`), "rates", (second, value) => {
        id(`${name}-at`).textContent =
          value === null ? "" : `${rate(value)} at ${clockWithSeconds(second * 1000)}`;
      }),
    );
  }

  /** Add [second, lines, words]; a second that is sent again replaces the earlier, incomplete one. */
  add(rates) {
    for (const [second, lines, words] of rates) this.#points.set(second, [lines, words]);
  }

  /** The present lines and words per second; null before the first rates. */
  now() {
    const newest = this.#seconds().slice(-NOW_SECONDS);
    if (!newest.length) return null;
    return [0, 1].map((at) => mean(newest.map((second) => this.#points.get(second)[at])));
  }

  /** The peaks of the last minutes. */
  most() {
    return [0, 1].map((at) => Math.max(0, ...this.#smooth(this.#seconds(), at)));
  }

  draw() {
    const seconds = this.#seconds();
    const last = seconds.at(-1);
    if (last === undefined || !this.#charts) return;
    for (const second of this.#points.keys()) {
      if (second <= last - this.#kept) this.#points.delete(second);
    }
    const shown = this.#seconds();
    // As wide as the kept seconds from the start: a line that grows is clearer than one that shrinks.
    const times = [last - this.#kept, ...shown];
    this.#charts.forEach((chart, at) => {
      chart.setData([times, [null, ...this.#smooth(shown, at)]]);
    });
    if (last - this.#describedAt >= 10) this.#describe(shown);
  }

  #seconds() {
    return [...this.#points.keys()].toSorted((a, b) => a - b);
  }

  /** Means over three seconds: work is committed in blocks, so single seconds are uneven. */
  #smooth(seconds, at) {
    const values = seconds.map((second) => this.#points.get(second)[at]);
    return values.map((_, place) => mean(values.slice(Math.max(0, place - 2), place + 1)));
  }

  #describe(seconds) {
    this.#describedAt = seconds.at(-1);
    ["lines", "words"].forEach((name, at) => {
      const values = this.#smooth(seconds, at);
      const text = `${name[0].toUpperCase()}${name.slice(1)} a second over the last minutes: now ${rate(values.at(-1))}, lowest ${rate(Math.min(...values))}, highest ${rate(Math.max(...values))}.`;
      id(`${name}-plot`).setAttribute("aria-label", text);
    });
    const minutes = new Map();
    for (const second of seconds) {
      const minute = Math.floor(second / 60);
      minutes.set(minute, [...(minutes.get(minute) ?? []), second]);
    }
    const rows = [...minutes].toReversed().map(([minute, of]) => {
      const row = document.createElement("tr");
      const head = document.createElement("th");
      head.scope = "row";
      head.textContent = clock(minute * 60000);
      const cells = [0, 1].map((at) => {
        const cell = document.createElement("td");
        const value = mean(of.map((second) => this.#points.get(second)[at]));
        cell.textContent = value < 10 ? rate(value) : number(Math.round(value));
        return cell;
      });
      row.append(head, ...cells);
      return row;
    });
    id("rates-rows").replaceChildren(...rows);
  }
}
