// Formats numbers, times and words for people.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });
const exact = new Intl.NumberFormat("en");

export const number = (value) => exact.format(value);

/** A number, short enough for a tile. */
export const short = (value) => (value < 1e6 ? whole.format(value) : compact.format(value));

/** A number of a chart's axis. */
export const tick = (value) => (value < 1000 ? exact.format(value) : compact.format(value));

/** A rate; a small one has one decimal. */
export const rate = (value) => (value > 0 && value < 10 ? value.toFixed(1) : short(value));

/** A duration in the unit that fits. */
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

/** Time of day; it has seconds only if there are any. */
export const clock = (ms) => clocks[ms % 60000 ? 1 : 0].format(ms);
export const clockWithSeconds = (ms) => clocks[1].format(ms);

/** A time on a chart's axis; the date where a day begins. */
export function mark(ms) {
  const at = new Date(ms);
  return at.getHours() || at.getMinutes() || at.getSeconds() ? clock(ms) : day.format(at);
}

const offset = (ms) => new Date(ms).getTimezoneOffset() * 60000;
const zones = new Intl.DateTimeFormat(undefined, { timeZoneName: "shortOffset" });

/** Time of day; it has the zone's offset if clocks show it twice, as when summer time ends. */
function unique(ms) {
  const twice = [-DAY_MS, DAY_MS].some((away) => {
    const twin = ms - offset(ms) + offset(ms + away);
    return twin !== ms && offset(twin) === offset(ms + away);
  });
  if (!twice) return clock(ms);
  const zone = zones.formatToParts(ms).find(({ type }) => type === "timeZoneName");
  return `${clock(ms)} ${zone.value}`;
}

/** A window, like "16:40–16:41"; other days than today have their date, on both sides if they differ. */
export function span(start, end) {
  if (end === null) return "since the beginning";
  // Beyond the range of Date the raw number is more useful than "Invalid Date".
  if (!(Math.abs(start) < 8.64e15 && Math.abs(end) < 8.64e15)) return `${start} ms`;
  const [from, to, today] = [new Date(start), new Date(end), new Date()];
  const isSameDay = (one, other) => one.toDateString() === other.toDateString();
  const date = (at) => (at.getFullYear() === today.getFullYear() ? day : years).format(at);
  const begin = isSameDay(from, today) ? unique(start) : `${date(from)}, ${unique(start)}`;
  return isSameDay(from, to) ? `${begin}–${unique(end)}` : `${begin} – ${date(to)}, ${unique(end)}`;
}

// Characters that reverse text, hide it or break a line are shown by their codes. Joiners and
// combining marks are parts of words, so they stay.
const invisible =
  /[\u0000-\u001F\u007F-\u00A0\u00AD\u061C\u180E\u200B\u200E\u200F\u2028-\u202E\u2060-\u2069\uFEFF\uFFF9-\uFFFB]/gu;
const code = (char) => `\\u${char.codePointAt(0).toString(16).padStart(4, "0")}`;

/** The worker cuts longer words to so many characters: code points, not UTF-16 units. */
const MAX_CHARACTERS = 200;

/** Number of characters of a word. */
export const size = (word) => [...word].length;

/** A word as the worker sends it: [its beginning, its whole length if it is cut]. */
export const cut = (word) => (size(word) > MAX_CHARACTERS ? [[...word].slice(0, MAX_CHARACTERS).join(""), size(word)] : [word]);

/** A word as harmless text; `length` is its whole length if it is cut. */
export function shown(word, length = size(word), most = MAX_CHARACTERS) {
  const text = [...word].slice(0, most).join("").replaceAll(invisible, code);
  return length > Math.min(most, size(word)) ? `${text}… (${number(length)} characters)` : text;
}
