import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";

import { ask, listen } from "../../../../app/web/static/stream.js";
import { openDocument } from "./dom.js";
import { settle, until } from "./settling.js";

const encoder = new TextEncoder();
let requests = [];
let responses = [];

/** A response that sends the given pieces of a stream and ends. */
const streaming = (...pieces) =>
  new Response(
    new ReadableStream({
      start(controller) {
        for (const piece of pieces) controller.enqueue(encoder.encode(piece));
        controller.close();
      },
    }),
  );

beforeEach(() => {
  requests = [];
  responses = [];
  openDocument();
  mock.method(globalThis, "fetch", async (path, options) => {
    requests.push({ path, ...options });
    const next = responses.shift();
    if (!next) return new Promise(() => {});
    return next;
  });
  mock.timers.enable({ apis: ["setTimeout"] });
});

afterEach(() => {
  mock.timers.reset();
  mock.restoreAll();
});

function listening() {
  const seen = { events: [], lost: 0, denied: 0 };
  listen("/api/events", {
    event: (name, data) => seen.events.push([name, data]),
    lost: () => seen.lost++,
    denied: () => seen.denied++,
  });
  return seen;
}

test("events are read across the pieces of the stream", async () => {
  responses = [streaming("retry: 2000\n\nid: 7\nevent: st", 'ate\ndata: {"a":1}\n', "\nevent: windows\ndata: []\n\n")];
  const seen = listening();
  await until(() => seen.lost === 1);
  assert.deepEqual(seen.events, [["state", { a: 1 }], ["windows", []]]);
});

test("a stream that ends is reconnected after a pause, from the last id", async () => {
  responses = [streaming('id: 7\nevent: state\ndata: {}\n\n'), streaming()];
  const seen = listening();
  await until(() => seen.lost === 1);
  assert.equal(requests.length, 1);
  await settle();
  mock.timers.tick(1000);
  await until(() => requests.length === 2);
  assert.deepEqual(requests[1].headers, { "Last-Event-ID": "7" });
});

test("pauses grow up to ten seconds while the worker is away", async () => {
  responses = Array.from({ length: 20 }, () => new Response("", { status: 503 }));
  const seen = listening();
  for (let attempt = 1; attempt <= 8; attempt++) {
    await until(() => seen.lost === attempt);
    await settle();
    if (attempt < 8) mock.timers.tick(10000);
  }
  mock.timers.tick(4999);
  await settle();
  assert.equal(seen.lost, 8);
});

test("a missing token ends the requests", async () => {
  responses = [new Response("", { status: 401 })];
  const seen = listening();
  await until(() => seen.denied === 1);
  mock.timers.tick(60000);
  await settle();
  assert.deepEqual([seen.denied, seen.lost, requests.length], [1, 0, 1]);
});

test("a worker that sends nothing for ten seconds counts as lost", async () => {
  responses = [];
  mock.method(globalThis, "fetch", async (path, { signal }) => {
    requests.push({ path });
    const body = new ReadableStream({
      start: (controller) => signal.addEventListener("abort", () => controller.error(signal.reason)),
    });
    return new Response(body);
  });
  const seen = listening();
  await until(() => requests.length === 1);
  await settle();
  mock.timers.tick(9999);
  await settle();
  assert.equal(seen.lost, 0);
  mock.timers.tick(1);
  await until(() => seen.lost === 1);
});

test("a hidden page is not connected, and connects once it is shown", async () => {
  document.hidden = true;
  listening();
  await settle();
  assert.equal(requests.length, 0);
  document.hidden = false;
  document.emit("visibilitychange");
  await until(() => requests.length === 1);
});

test("an answer is its JSON", async () => {
  responses = [Response.json({ words: [] })];
  assert.deepEqual(await ask("/api/top", { n: 20 }), { words: [] });
  assert.equal(requests[0].path, "/api/top?n=20");
});

test("an error has the worker's reason and the status", async () => {
  responses = [Response.json({ error: "the word is empty" }, { status: 400 })];
  await assert.rejects(ask("/api/words"), { message: "the word is empty", status: 400 });
  responses = [new Response("<html>", { status: 502, statusText: "Bad Gateway" })];
  await assert.rejects(ask("/api/words"), { message: "Bad Gateway", status: 502 });
});
