import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";

import { Question } from "../../../../app/web/static/question.js";
import { openDocument } from "./dom.js";
import { settle } from "./settling.js";

let answers = [];
let requests = 0;

beforeEach(() => {
  openDocument();
  answers = [];
  requests = 0;
  mock.method(globalThis, "fetch", async () => {
    requests++;
    return answers.shift() ?? Response.json({ number: requests });
  });
  mock.timers.enable({ apis: ["setTimeout"] });
});

afterEach(() => {
  mock.timers.reset();
  mock.restoreAll();
});

const after = async (ms) => {
  mock.timers.tick(ms);
  await settle();
};

test("a question is repeated every two seconds while its answer may change", async () => {
  const seen = [];
  new Question().put("/api/top", {}, { answered: ({ number }) => seen.push(number) < 3, failed: () => false });
  await after(0);
  await after(1999);
  assert.deepEqual(seen, [1]);
  await after(1);
  await after(2000);
  await after(2000);
  assert.deepEqual(seen, [1, 2, 3]);
});

test("a failure is repeated only if the caller asks for it", async () => {
  answers = [Response.json({ error: "busy" }, { status: 503 }), Response.json({ error: "bad" }, { status: 400 })];
  const seen = [];
  new Question().put("/api/top", {}, { answered: () => true, failed: ({ status }) => seen.push(status) && status === 503 });
  await after(0);
  await after(2000);
  await after(2000);
  assert.deepEqual(seen, [503, 400]);
});

test("a dropped question calls nothing, even if its answer is on the way", async () => {
  const question = new Question();
  question.put("/api/top", {}, { answered: assert.fail, failed: assert.fail });
  mock.timers.tick(0);
  question.drop();
  await after(2000);
  assert.equal(requests, 1);
});

test("a new question replaces the one before, and waits before it is sent", async () => {
  const question = new Question();
  const seen = [];
  question.put("/api/top", {}, { answered: () => seen.push("old"), failed: assert.fail, wait: 150 });
  question.put("/api/top", {}, { answered: () => seen.push("new") && false, failed: assert.fail, wait: 150 });
  await after(149);
  assert.equal(requests, 0);
  await after(1);
  assert.deepEqual(seen, ["new"]);
});

test("a hidden page sends no request", async () => {
  document.hidden = true;
  const seen = [];
  new Question().put("/api/top", {}, { answered: () => seen.push(1) && false, failed: assert.fail });
  await after(0);
  assert.equal(requests, 0);
  document.hidden = false;
  await after(2000);
  assert.deepEqual(seen, [1]);
});
