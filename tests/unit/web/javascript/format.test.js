// Runs with TZ=Europe/Berlin and English texts.
import assert from "node:assert/strict";
import { test } from "node:test";

import { clock, cut, duration, mark, number, rate, short, shown, size, span, tick } from "../../../../app/web/static/format.js";

const at = (text) => Date.parse(text);

test("numbers have thousands separators", () => {
  assert.equal(number(1234567), "1,234,567");
  assert.equal(tick(999), "999");
  assert.equal(tick(1500), "1.5K");
});

test("a tile shows whole numbers, and large ones in short", () => {
  assert.equal(short(999999), "999,999");
  assert.equal(short(1234567), "1.23M");
});

test("a small rate has one decimal, except zero", () => {
  assert.equal(rate(0), "0");
  assert.equal(rate(0.26), "0.3");
  assert.equal(rate(12.6), "13");
});

test("durations use the unit that fits", () => {
  const expected = [[-1, "0.0 s"], [9.94, "9.9 s"], [119, "119 s"], [120, "2 min"], [7200, "2 h"], [172800, "2 days"]];
  for (const [seconds, text] of expected) assert.equal(duration(seconds), text);
});

test("a clock has seconds only if there are any", () => {
  assert.equal(clock(at("2026-01-05T10:00:00Z")), "11:00");
  assert.equal(clock(at("2026-01-05T10:00:05Z")), "11:00:05");
});

test("an axis shows the date where a day begins", () => {
  assert.equal(mark(at("2026-01-05T10:00:00Z")), "11:00");
  assert.equal(mark(at("2026-01-04T23:00:00Z")), "Jan 5");
});

test("a window of today has no date", () => {
  const noon = new Date();
  noon.setHours(12, 0, 0, 0);
  assert.equal(span(noon.getTime(), noon.getTime() + 60000), "12:00–12:01");
});

test("a window of another day or year has its date, on both sides if it ends on another day", () => {
  assert.equal(span(at("1999-05-01T10:00:00Z"), at("1999-05-01T10:01:00Z")), "May 1, 1999, 12:00–12:01");
  assert.equal(span(at("1999-05-01T10:00:00Z"), at("1999-05-02T10:00:00Z")), "May 1, 1999, 12:00 – May 2, 1999, 12:00");
});

test("an hour that clocks show twice has its offset", () => {
  const start = at("2025-10-26T00:30:00Z");
  assert.match(span(start, start + 3600000), /02:30 GMT\+2–02:30 GMT\+1$/u);
});

test("a window without end, and one beyond all calendars, have texts of their own", () => {
  assert.equal(span(0, null), "since the beginning");
  assert.equal(span(9e15, 9e15 + 60000), "9000000000000000 ms");
});

test("a word's size is in characters, not in UTF-16 units", () => {
  assert.equal(size("👩👧"), 2);
});

test("a long word is cut at 200 characters, with its whole size", () => {
  assert.deepEqual(cut("short"), ["short"]);
  assert.deepEqual(cut("👧".repeat(201)), ["👧".repeat(200), 201]);
});

test("invisible and reversing characters are shown as codes, joiners are kept", () => {
  assert.equal(shown("a\u202Eb\u0000\u00A0"), String.raw`a\u202eb\u0000\u00a0`);
  assert.equal(shown("क्\u200Dष"), "क्\u200Dष");
});

test("a cut word ends in an ellipsis and its number of characters", () => {
  assert.equal(shown("abc", 1500), "abc… (1,500 characters)");
  assert.equal(shown("abcdef", 6, 3), "abc… (6 characters)");
  assert.equal(shown("abc", 3), "abc");
});
