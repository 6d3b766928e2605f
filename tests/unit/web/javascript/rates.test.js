import assert from "node:assert/strict";
import { test } from "node:test";

import { openDocument } from "./dom.js";

const { RateCharts } = await import("../../../../app/web/static/rates.js");

/** Charts that record their data instead of drawing it. */
function drawn(rates) {
  openDocument("lines-plot", "words-plot", "lines-at", "words-at", "rates-rows");
  const plots = [];
  globalThis.uPlot = class {
    constructor() {
      this.root = document.createElement("div");
      plots.push(this);
    }
    setData(data) {
      this.data = data;
    }
  };
  const charts = new RateCharts();
  charts.configure({ kept_seconds: 10 });
  charts.add(rates);
  charts.draw();
  return { charts, plots };
}

test("nothing is known before the first rates", () => {
  const charts = new RateCharts();
  assert.equal(charts.now(), null);
  assert.deepEqual(charts.most(), [0, 0]);
  charts.draw();
});

test("the present rate is the mean of the last five seconds", () => {
  const charts = new RateCharts();
  charts.add([[1, 100, 0], [2, 1, 10], [3, 1, 10], [4, 1, 10], [5, 1, 10], [6, 6, 60]]);
  assert.deepEqual(charts.now(), [2, 20]);
});

test("a second that is sent again replaces the earlier one", () => {
  const charts = new RateCharts();
  charts.add([[1, 1, 1], [1, 5, 7]]);
  assert.deepEqual(charts.now(), [5, 7]);
});

test("the peak is of means over three seconds", () => {
  const charts = new RateCharts();
  charts.add([[1, 0, 0], [2, 0, 0], [3, 9, 90]]);
  assert.deepEqual(charts.most(), [3, 30]);
});

test("a chart is as wide as the kept seconds, and older seconds are dropped", () => {
  const { charts, plots } = drawn([[1, 50, 50], [95, 3, 30], [100, 3, 30]]);
  assert.deepEqual(plots[0].data, [[90, 95, 100], [null, 3 + 50 / 2 - 50 / 2, 3]]);
  assert.deepEqual(plots[1].data[0], [90, 95, 100]);
  assert.deepEqual(charts.now(), [3, 30]);
});

test("a chart is described in words, and in a table of minutes", () => {
  drawn([[118, 2, 20], [119, 2, 20], [120, 2, 20]]);
  const label = document.getElementById("lines-plot").getAttribute("aria-label");
  assert.equal(label, "Lines a second over the last minutes: now 2.0, lowest 2.0, highest 2.0.");
  const rows = document.getElementById("rates-rows").children;
  assert.deepEqual(rows.map((row) => row.textContent), ["01:022.020", "01:012.020"]);
});
