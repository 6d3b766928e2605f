import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { runInThisContext } from "node:vm";

import { Element, openDocument } from "./dom.js";

const script = readFileSync(new URL("../../../../app/web/static/theme.js", import.meta.url), "utf8");

/** The theme of a new page, on a system that is dark or light, with what is stored. */
function loaded({ dark, stored = null, forbidden = false }) {
  openDocument();
  document.documentElement = new Element("html");
  const system = { matches: dark, addEventListener: (_, listener) => (system.change = listener) };
  globalThis.matchMedia = () => system;
  const storage = new Map(stored === null ? [] : [["theme", stored]]);
  const checked = (value) => {
    if (forbidden) throw new Error("storage is forbidden");
    return value;
  };
  Object.defineProperty(globalThis, "localStorage", {
    configurable: true,
    value: {
      getItem: (key) => checked(storage.get(key) ?? null),
      setItem: (key, value) => checked(storage.set(key, value)),
    },
  });
  runInThisContext(script);
  return { system, storage, shown: () => document.documentElement.dataset.theme };
}

test("without a choice the system decides, also when it changes", () => {
  const { system, shown } = loaded({ dark: true });
  assert.equal(shown(), "dark");
  system.matches = false;
  system.change();
  assert.equal(shown(), "light");
});

test("a stored choice wins, and a stored text that is none is ignored", () => {
  assert.equal(loaded({ dark: true, stored: "light" }).shown(), "light");
  assert.equal(loaded({ dark: true, stored: "pink" }).shown(), "dark");
});

test("the choices follow each other, and are stored and reported", () => {
  const { storage, shown } = loaded({ dark: false });
  const reported = [];
  globalThis.theme.onChange((chosen) => reported.push(chosen));
  const seen = [1, 2, 3].map(() => {
    globalThis.theme.next();
    return [storage.get("theme"), shown()];
  });
  assert.deepEqual(seen, [["light", "light"], ["dark", "dark"], ["auto", "light"]]);
  assert.deepEqual(reported, ["auto", "light", "dark", "auto"]);
});

test("without storage the choice lasts for the visit", () => {
  const { shown } = loaded({ dark: false, forbidden: true });
  globalThis.theme.next();
  globalThis.theme.next();
  assert.equal(shown(), "dark");
});
