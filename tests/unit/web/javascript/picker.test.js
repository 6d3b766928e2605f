// Runs with TZ=Europe/Berlin and English texts.
import assert from "node:assert/strict";
import { test } from "node:test";

import { openDocument } from "./dom.js";

openDocument();
const { Picker } = await import("../../../../app/web/static/picker.js");

const MINUTE_MS = 60000;
const START_MS = Date.parse("1999-05-01T10:00:00Z");
const at = (minute) => START_MS + minute * MINUTE_MS;

function made() {
  openDocument("picker", "slider", "older", "newer", "live", "go", "strip");
  const picks = [];
  const picker = new Picker((start) => picks.push(start));
  picker.configure({ window_ms: MINUTE_MS, hop_ms: MINUTE_MS });
  picker.show([[at(3), 30, 3], [at(2), 20, 2], [at(0), 10, 1]]);
  picker.update(at(3), 30, 3);
  return { picker, picks };
}

const element = (name) => document.getElementById(name);
const click = (name) => element(name).emit("click");

test("the newest window is live, with no newer one", () => {
  const { picker } = made();
  assert.equal(picker.picked, null);
  assert.equal(element("picker").hidden, false);
  assert.deepEqual([element("older").disabled, element("newer").disabled], [false, true]);
  assert.equal(element("live").getAttribute("aria-pressed"), "true");
  assert.equal(element("slider").getAttribute("aria-valuetext"), "May 1, 1999, 12:03–12:04, 30 words");
});

test("older and newer step through the windows that exist, back to live", () => {
  const { picks } = made();
  for (const name of ["older", "older", "newer", "newer"]) click(name);
  assert.deepEqual(picks, [at(2), at(0), at(2), null]);
});

test("the slider picks a window", () => {
  const { picks, picker } = made();
  element("slider").value = 0;
  element("slider").emit("input");
  assert.deepEqual(picks, [at(0)]);
  assert.deepEqual(picker.totals(at(0)), [at(0), 10, 1]);
});

test("a time picks the window that contains it, also if it has no words", () => {
  const { picks } = made();
  element("go").value = "1999-05-01T12:01:30";
  element("go").emit("change");
  assert.deepEqual(picks, [at(1)]);
  assert.equal(element("slider").getAttribute("aria-valuetext"), "May 1, 1999, 12:01–12:02");
  element("go").value = "";
  element("go").emit("change");
  assert.deepEqual(picks, [at(1)]);
});

test("a window from a clock that is ahead is not the newest one", () => {
  const { picker, picks } = made();
  picker.show([[at(9000), 1, 1], [at(3), 30, 3], [at(2), 20, 2]]);
  assert.equal(picker.newest, at(3));
  assert.equal(element("newer").disabled, false);
  click("newer");
  assert.deepEqual(picks, [at(9000)]);
});

test("an update changes the totals of the newest window", () => {
  const { picker } = made();
  picker.update(at(3), 31, 4);
  assert.deepEqual(picker.totals(at(3)), [at(3), 31, 4]);
  assert.match(element("slider").getAttribute("aria-valuetext"), /31 words$/u);
});

test("running totals have no picker", () => {
  const { picker } = made();
  picker.configure({ window_ms: null, hop_ms: null });
  picker.show([[0, 5, 5]]);
  assert.equal(element("picker").hidden, true);
});
