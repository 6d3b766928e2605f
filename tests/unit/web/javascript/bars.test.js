import assert from "node:assert/strict";
import { test } from "node:test";

import { Element, openDocument } from "./dom.js";

openDocument();
const { Bars } = await import("../../../../app/web/static/bars.js");

function made() {
  const list = new Element("ol");
  openDocument().body.append(list);
  const chosen = [];
  return { list, chosen, bars: new Bars(list, (...word) => chosen.push(word)) };
}

const texts = (list) => list.children.map((item) => item.textContent);
const widths = (list) => list.children.map((item) => item.children[0].children[2].children[0].style.width);

test("bars are as long as their counts, the first one whole", () => {
  const { list, bars } = made();
  bars.show([["the", 4], ["of", 3], ["a", 1]]);
  assert.deepEqual(texts(list), ["the 4", "of 3", "a 1"]);
  assert.deepEqual(widths(list), ["100%", "75%", "25%"]);
});

test("a word that stays keeps its element, wherever it moves", () => {
  const { list, bars } = made();
  bars.show([["the", 4], ["of", 3], ["a", 1]]);
  const of = list.children[1];
  bars.show([["of", 5], ["new", 4], ["the", 4]]);
  assert.deepEqual(texts(list), ["of 5", "new 4", "the 4"]);
  assert.equal(list.children[0], of);
});

test("two long words with the same beginning have bars of their own", () => {
  const { list, bars } = made();
  bars.show([["xxx", 2, 500], ["xxx", 1, 700]]);
  assert.deepEqual(texts(list), ["xxx… (500 characters) 2", "xxx… (700 characters) 1"]);
});

test("a click chooses the word, with its whole length if it is cut", () => {
  const { list, chosen, bars } = made();
  bars.show([["the", 4], ["xxx", 2, 500]]);
  for (const item of list.children) item.children[0].emit("click");
  assert.deepEqual(chosen, [["the", undefined], ["xxx", 500]]);
});

test("the chosen word is marked, also if its bar comes later", () => {
  const { list, bars } = made();
  bars.choose("of");
  bars.show([["the", 4], ["of", 3]]);
  const marks = () => list.children.map((item) => item.children[0].getAttribute("aria-current"));
  assert.deepEqual(marks(), [null, "true"]);
  bars.choose(null);
  assert.deepEqual(marks(), [null, null]);
  assert.equal(bars.button("of"), list.children[1].children[0]);
  assert.equal(bars.button("none"), undefined);
});

test("the focus stays on a bar that moves", () => {
  const { list, bars } = made();
  bars.show([["the", 4], ["of", 3]]);
  const button = list.children[1].children[0];
  button.focus();
  bars.show([["of", 5], ["the", 4]]);
  assert.equal(document.activeElement, button);
});
