// The live page: shows the worker's events in their places.

import { Bars } from "./bars.js";
import { redraw } from "./charts.js";
import { cut, duration, number, rate, short, size, span } from "./format.js";
import { showWorkers, summary, totals, troubles } from "./health.js";
import { Picker } from "./picker.js";
import { Question } from "./question.js";
import { RateCharts } from "./rates.js";
import { ask, listen } from "./stream.js";
import { WordHistory } from "./word.js";

const REST_MS = 150; // how long the slider rests before a window is fetched
const BEHIND_SECONDS = 10; // changes that Cassandra lacks for longer are marked
const id = (name) => document.getElementById(name);

let settings = {};
let state = null;

const past = new Question();
const rates = new RateCharts();
const picker = new Picker(pickWindow);
const wordHistory = new WordHistory(() => picker.newest, onWord);
const bars = new Bars(id("bars"), chooseWord);

// Events of the worker

const handlers = {
  hello(data) {
    settings = data;
    for (const part of [rates, picker, wordHistory]) part.configure(data);
    rates.add(data.rates);
    id("route").textContent = `${data.topic} → ${data.table}`;
    id("empty-topic").textContent = data.topic;
    document.title = `${data.id} – word counts`;
    openFromAddress();
  },
  windows(data) {
    picker.show(data.windows);
  },
  state(data) {
    state = data;
    rates.add(data.rates);
    document.body.classList.remove("stale");
    if (data.window) picker.update(Date.parse(data.window.start), data.words, data.distinct);
    showState();
  },
};

listen("/api/events", {
  event: (name, data) => handlers[name]?.(data),
  lost: showLost,
  denied: askForToken,
});

// Showing the state

function put(name, text) {
  const element = id(name);
  if (element.textContent !== text) element.textContent = text;
}

function showState() {
  const found = troubles(state);
  const [kind, text] = summary(state, found);
  showPill(kind, text);
  showBanner(found);
  showTiles();
  rates.draw();
  showWorkers(id("workers"), state);
  const { workers, silent } = state.status;
  put("workers-note", workers.length + silent.length === 1 ? "" : `${workers.length} answer`);
  if (picker.picked === null) showNewest();
}

function showPill(kind, text) {
  id("pill").dataset.state = kind;
  put("pill-text", text);
}

function showBanner(found) {
  const banner = id("banner");
  const key = JSON.stringify(found);
  if (banner.dataset.key === key) return; // shown already
  banner.dataset.key = key;
  banner.replaceChildren(
    ...found.map(({ grave, title, text }) => {
      const line = document.createElement("p");
      line.className = grave ? "grave" : "mild";
      const strong = document.createElement("strong");
      strong.textContent = title;
      line.append(strong, ` ${text}`);
      return line;
    }),
  );
}

function showTiles() {
  const sums = totals(state);
  const now = rates.now();
  const most = rates.most();
  ["lines", "words"].forEach((name, at) => {
    put(name, now ? rate(now[at]) : "–");
    put(`${name}-note`, most[at] ? `peak ${rate(most[at])}` : "");
  });
  put("lag", sums.lag === null ? "unknown" : short(sums.lag));
  put("rows", short(sums.rows));
  put("late", short(sums.late));
  put("rejected", short(sums.rejected));
  put("flush", sums.flush === null ? "none yet" : `${duration(sums.flush)} ago`);
  const saved = sums.flush === null ? "" : "every count saved";
  put("flush-note", sums.behind > 0 ? `${duration(sums.behind)} behind` : saved);
  const slow = sums.behind > BEHIND_SECONDS + (settings.flush_ms ?? 0) / 1000;
  id("flush").closest(".tile").classList.toggle("warn", slow);
  id("rows").closest(".tile").classList.toggle("warn", slow);
  id("rejected").closest(".tile").classList.toggle("warn", sums.rejected > 0);
  id("late").closest(".tile").classList.toggle("warn", sums.late > 0);
}

function showNewest() {
  if (state.top === null) {
    // Earlier counts stay, without their colour; before the first ones, placeholders are shown.
    id("bars").classList.add("old");
    const nothing = id("bars").childElementCount === 0 && id("empty").hidden;
    id("none").hidden = id("bones").hidden = !nothing;
    if (nothing) put("none", "The counts appear as soon as the workers can answer.");
    return;
  }
  const { window, words, distinct } = state;
  id("bars").classList.remove("old");
  id("bones").hidden = true;
  id("empty").hidden = window !== null;
  id("none").hidden = true;
  id("bars").hidden = window === null;
  put("top-note", window === null ? "" : `${when(window)} · ${number(words)} words, ${number(distinct)} distinct · ${progress(window)}`);
  bars.show(state.top);
}

function when({ start, end }) {
  return span(Date.parse(start), end && Date.parse(end));
}

function progress({ end, final }) {
  if (final) return "final";
  if (end !== null && Date.parse(end) < state.at) return "ended, not final yet";
  return "counting";
}

// A window of the past

function pickWindow(start) {
  past.drop();
  if (start === null) {
    if (state) showNewest();
  } else {
    past.put("/api/top", { n: 20, window: start }, { answered: showPast, failed: showNoPast, wait: REST_MS });
  }
  remember();
}

/** Show the picked window; returns whether it may still change. */
function showPast({ window, words }) {
  const sums = picker.totals(picker.picked);
  const all = sums ? ` · ${number(sums[1])} words, ${number(sums[2])} distinct` : "";
  put("top-note", `${when(window)}${all} · ${window.final ? "final" : "not final yet"}`);
  id("bones").hidden = true;
  id("empty").hidden = true;
  id("bars").hidden = !words.length;
  id("bars").classList.remove("old");
  id("none").hidden = words.length > 0;
  put("none", "No words in this window: it had no lines, or it is older than the retention.");
  bars.show(
    words.map(({ word, count }) => {
      const [beginning, length] = cut(word);
      return [beginning, count, length];
    }),
  );
  return !window.final;
}

/** Show why the picked window has no answer; returns whether to retry. */
function showNoPast({ status, message }) {
  if (status !== 400) return true;
  id("bars").hidden = true;
  id("none").hidden = false;
  put("none", `This window can't be shown: ${message}.`);
  return false;
}

// A word

async function chooseWord(word, length) {
  if (length === undefined) return wordHistory.open(word);
  // The page has only the beginning of this word: fetch the whole one.
  const opener = document.activeElement;
  const before = wordHistory.word;
  const query = { n: 20, ...(picker.picked === null ? {} : { window: picker.picked }) };
  const answer = await ask("/api/top", query).catch(() => ({ words: [] }));
  if (wordHistory.word !== before) return; // another word has been opened meanwhile
  const whole = answer.words.find((each) => size(each.word) === length && each.word.startsWith(word));
  if (whole) wordHistory.open(whole.word, opener);
}

function onWord(word) {
  bars.choose(word === null ? null : cut(word)[0]);
  remember();
}

id("search").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = id("query").value.trim();
  if (text) wordHistory.open(text, id("query"));
});

// The address names the picked window and the open word, so that links lead to them

let following = false;
function remember() {
  if (following) return; // written once both parts are set
  const parameters = new URLSearchParams();
  if (picker.picked !== null) parameters.set("window", picker.picked);
  if (wordHistory.word !== null && wordHistory.word.length <= 500) parameters.set("word", wordHistory.word);
  const address = parameters.size ? `#${parameters}` : location.pathname + location.search;
  history.replaceState(null, "", address);
}

let opened = false;
function openFromAddress() {
  if (opened) return;
  opened = true;
  followAddress();
  // A new address in the open page changes only the hash: the browser does not reload the page.
  addEventListener("hashchange", followAddress);
}

function followAddress() {
  const parameters = new URLSearchParams(location.hash.slice(1));
  const [start, word] = [Number(parameters.get("window")), parameters.get("word")];
  following = true;
  picker.pick(parameters.has("window") && Number.isSafeInteger(start) ? start : null);
  if (word) wordHistory.open(word, id("query"));
  else if (wordHistory.word !== null) wordHistory.close();
  following = false;
  remember();
}

// A worker that is lost or requires a token

function showLost() {
  document.body.classList.add("stale");
  showPill("bad", "Connection lost");
  const text = state
    ? `The page shows the state of ${new Date(state.at).toLocaleTimeString()} and reconnects by itself.`
    : "The page reconnects by itself.";
  showBanner([{ grave: true, title: "The worker does not answer.", text }]);
}

function askForToken() {
  showPill("bad", "Token needed");
  // /?token=… redirects to this page: a page that was redirected and is denied had a wrong token.
  const { redirectCount } = performance.getEntriesByType("navigation")[0];
  id("token-wrong").hidden = opened || !redirectCount;
  id("token").showModal();
}
id("token").addEventListener("cancel", (event) => event.preventDefault());

// Light or dark

const ICONS = {
  auto: "M8 1.5v13A6.5 6.5 0 0 0 8 1.5M8 1a7 7 0 1 0 0 14A7 7 0 0 0 8 1",
  light: "M8 4.5a3.5 3.5 0 1 0 0 7 3.5 3.5 0 0 0 0-7M7.4 0h1.2v2.6H7.4zm0 13.4h1.2V16H7.4zM0 7.4h2.6v1.2H0zm13.4 0H16v1.2h-2.6z",
  dark: "M6 1a7 7 0 1 0 9 9A6 6 0 0 1 6 1",
};

globalThis.theme.onChange((chosen) => {
  const drawn = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  drawn.setAttribute("viewBox", "0 0 16 16");
  drawn.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", ICONS[chosen]);
  path.setAttribute("fill-rule", "evenodd");
  drawn.append(path);
  id("theme").replaceChildren(drawn);
  id("theme").setAttribute("aria-label", `Theme: ${chosen}`);
  id("theme").title = `Theme: ${chosen}`;
  redraw();
  picker.draw();
});
id("theme").addEventListener("click", globalThis.theme.next);

put("zone", `Times are in your time zone, ${Intl.DateTimeFormat().resolvedOptions().timeZone}.`);
