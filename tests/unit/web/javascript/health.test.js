import assert from "node:assert/strict";
import { test } from "node:test";

import { summary, totals, troubles } from "../../../../app/web/static/health.js";

const worker = (changes = {}) => ({
  url: "http://a:1",
  state: "working",
  reasons: [],
  kafka: true,
  cassandra: true,
  late: 1,
  rejected: 2,
  last_flush: "2026-11-22T21:40:00Z",
  unflushed_seconds: 0,
  partitions: [{ lines_lag: 3, rows_waiting: 4 }],
  ...changes,
});
const state = (workers, silent = [], more = {}) => ({
  at: Date.parse("2026-11-22T21:40:05Z"),
  status: { workers, silent },
  ...more,
});

test("workers that work have no troubles, and the pill is live", () => {
  const found = troubles(state([worker()]));
  assert.deepEqual(found, []);
  assert.deepEqual(summary(state([worker()]), found), ["good", "Live"]);
});

test("a failed worker comes first, with its reason", () => {
  const failed = worker({ state: "failed", kafka: false, reasons: ["the worker has failed: disk full"] });
  const found = troubles(state([failed]));
  assert.deepEqual(found.map(({ title }) => title), ["a:1 has failed.", "Kafka is away."]);
  assert.equal(found[0].text, "the worker has failed: disk full");
  assert.deepEqual(summary(state([failed]), found), ["bad", "a:1 has failed"]);
});

test("Cassandra is away if no node is up, or if rows wait too long", () => {
  for (const changes of [{ cassandra: false }, { reasons: ["Cassandra has not taken changed rows for 90 s"] }]) {
    assert.deepEqual(troubles(state([worker(changes)])).map(({ title }) => title), ["Cassandra is away."]);
  }
});

test("a silent worker and one that recovers are mild troubles", () => {
  const current = state([worker({ state: "recovering" })], [{ url: "https://b:2", reason: "timed out" }]);
  const found = troubles(current);
  assert.deepEqual(found.map(({ grave }) => grave), [false, false]);
  assert.match(found[0].title, /^b:2 does not answer/u);
  assert.match(found[1].title, /^a:1 recovers its part/u);
  assert.deepEqual(summary(current, found), ["waiting", "Recovering"]);
});

test("without counts the reason is shown", () => {
  const current = state([worker()], [], { reason: "a rebalance is under way" });
  const found = troubles(current);
  assert.equal(found[0].text, "a rebalance is under way.");
  assert.deepEqual(summary(current, found), ["waiting", "Waiting"]);
});

test("totals are sums over all workers, and the oldest flush", () => {
  const other = worker({ last_flush: "2026-11-22T21:40:03Z", unflushed_seconds: 7 });
  assert.deepEqual(totals(state([worker(), other])), { lag: 6, rows: 8, late: 2, rejected: 4, flush: 5, behind: 7 });
});

test("a lag is unknown if a worker is silent or its broker does not answer", () => {
  assert.equal(totals(state([worker()], [{}])).lag, null);
  assert.equal(totals(state([worker({ partitions: [{ lines_lag: null, rows_waiting: 0 }] })])).lag, null);
  assert.equal(totals(state([worker({ partitions: [] })])).lag, null);
  assert.equal(totals(state([worker({ last_flush: null })])).flush, null);
});
