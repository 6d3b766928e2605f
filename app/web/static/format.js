// Numbers, times and words as people read them.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });
const exact = new Intl.NumberFormat("en");

export const number = (value) => exact.format(value);

/** A number that fits a tile. */
export const short = (value) => (value < 1e6 ? whole.format(value) : compact.format(value));

/** A number of a chart's axis. */
export const tick = (value) => (value < 1000 ? exact.format(value) : compact.format(value));

/** A rate: one decimal where it is small. */
export const rate = (value) => (value > 0 && value < 10 ? value.toFixed(1) : short(value));

/** Seconds as people say them. */
export function duration(seconds) {
  if (seconds < 10) return `${Math.max(0, seconds).toFixed(1)} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} days`;
}

const DAY_MS = 86400000;
const day = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric" });
const withSeconds = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
const clocks = [
  new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" }),
  new Intl.DateTimeFormat(undefined, withSeconds),
];
const years = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });

/** Time of day; with seconds only where there are any. */
export const clock = (ms) => clocks[ms % 60000 ? 1 : 0].format(ms);
export const clockWithSeconds = (ms) => clocks[1].format(ms);

/** A time on a chart's axis; where a day begins, its date. */
export function mark(ms) {
  const at = new Date(ms);
  return at.getHours() || at.getMinutes() || at.getSeconds() ? clock(ms) : day.format(at);
}

const offset = (ms) => new Date(ms).getTimezoneOffset() * 60000;
const zones = new Intl.DateTimeFormat(undefined, { timeZoneName: "shortOffset" });

/** Time of day; with the zone's offset where clocks that are set back show it twice. */
function unique(ms) {
  const twice = [-DAY_MS, DAY_MS].some((away) => {
    const twin = ms - offset(ms) + offset(ms + away);
    return twin !== ms && offset(twin) === offset(ms + away);
  });
  if (!twice) return clock(ms);
  const zone = zones.formatToParts(ms).find(({ type }) => type === "timeZoneName");
  return `${clock(ms)} ${zone.value}`;
}

/** A window, like "16:40–16:41", with its day unless that is today, and another day that it ends. */
export function span(start, end) {
  if (end === null) return "since the beginning";
  // Past what a Date can hold: the raw number says more than "Invalid Date".
  if (!(Math.abs(start) < 8.64e15 && Math.abs(end) < 8.64e15)) return `${start} ms`;
  const [from, to, today] = [new Date(start), new Date(end), new Date()];
  const isSameDay = (one, other) => one.toDateString() === other.toDateString();
  const date = (at) => (at.getFullYear() === today.getFullYear() ? day : years).format(at);
  const begin = isSameDay(from, today) ? unique(start) : `${date(from)}, ${unique(start)}`;
  return isSameDay(from, to) ? `${begin}–${unique(end)}` : `${begin} – ${date(to)}, ${unique(end)}`;
}

// What would turn text around, hide it or break a line is shown by its code; joiners and marks of
// scripts are parts of words.
const invisible =
  /[\u0000-\u001F\u007F-\u00A0\u00AD\u061C\u180E\u200B\u200E\u200F\u2028-\u202E\u2060-\u2069\uFEFF\uFFF9-\uFFFB]/gu;
const code = (char) => `\\u${char.codePointAt(0).toString(16).padStart(4, "0")}`;

/** Of a longer word the worker sends so many characters: code points, not JavaScript's units. */
const MOST = 200;

/** How many characters a word has. */
export const size = (word) => [...word].length;

/** A word as it is sent: [its beginning, its whole length if that was cut]. */
export const cut = (word) => (size(word) > MOST ? [[...word].slice(0, MOST).join(""), size(word)] : [word]);

/** A word as text that is safe to look at. `length`: its whole length, where it was cut. */
export function shown(word, length = size(word), most = MOST) {
  const text = [...word].slice(0, most).join("").replaceAll(invisible, code);
  return length > Math.min(most, size(word)) ? `${text}… (${number(length)} characters)` : text;
}
