// The window picker: a slider over all windows in the table, above a picture of their words.

import { number, span } from "./format.js";

const id = (name) => document.getElementById(name);

/** `onPick(start)` is called with the start (ms) of the window picked; null: the newest, live. */
export class Picker {
  #windows = []; // [start, words, distinct], oldest first
  #picked = null;
  #live = null; // start of the window that the state tells of; later ones are of clocks ahead
  #settings = { window_ms: null, hop_ms: null };
  #onPick;

  constructor(onPick) {
    this.#onPick = onPick;
    id("slider").addEventListener("input", () => this.#move(this.#windows[id("slider").value]));
    id("older").addEventListener("click", () => this.#move(this.#older));
    id("newer").addEventListener("click", () => this.#move(this.#newer));
    id("live").addEventListener("click", () => this.pick(null));
    id("go").addEventListener("change", () => this.#go());
    new ResizeObserver(() => this.draw()).observe(id("strip"));
  }

  get picked() {
    return this.#picked;
  }

  configure(settings) {
    this.#settings = settings;
    id("go").step = settings.hop_ms % 60000 ? 1 : 60;
  }

  /** Take in all windows, newest first. */
  show(windows) {
    this.#windows = windows.toReversed();
    this.#refresh();
  }

  /** Take in which window is the newest, and its totals. */
  update(start, words, distinct) {
    const known = this.totals(start);
    if (start === this.#live && known?.[1] === words && known?.[2] === distinct) return;
    this.#live = start;
    known?.splice(1, 2, words, distinct);
    this.#refresh();
  }

  /** Words and distinct words of a window; undefined where they are not known. */
  totals(start) {
    return this.#windows.find((window) => window[0] === start);
  }

  /** Start of the newest window; undefined before there is any. */
  get newest() {
    return this.#live ?? this.#windows.at(-1)?.[0];
  }

  pick(start) {
    if (start === this.#picked) return;
    this.#picked = start;
    this.#refresh();
    this.#onPick(start);
  }

  draw() {
    const canvas = id("strip");
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    if (!width || !this.#windows.length) return;
    const scale = devicePixelRatio || 1;
    canvas.width = width * scale;
    canvas.height = height * scale;
    const pen = canvas.getContext("2d");
    pen.scale(scale, scale);
    const style = getComputedStyle(document.documentElement);
    const count = this.#windows.length;
    const most = Math.max(1, ...this.#windows.map(([, words]) => words));
    // The slider's thumb is 16 px wide and stays within: so must the middles of the columns.
    const step = count > 1 ? (width - 16) / (count - 1) : 0;
    const column = Math.max(1, Math.min(12, step * 0.7));
    this.#windows.forEach(([start, words], at) => {
      const tall = words ? Math.max(2, (height - 2) * (words / most)) : 0;
      const middle = 8 + at * step;
      pen.fillStyle = style.getPropertyValue(start === this.#shown ? "--accent" : "--strip");
      pen.fillRect(middle - column / 2, height - tall, column, tall);
    });
  }

  /** Start of the window shown, which need not be in the table. */
  get #shown() {
    return this.#picked ?? this.newest;
  }

  get #older() {
    return this.#windows.findLast(([start]) => start < this.#shown);
  }

  get #newer() {
    return this.#windows.find(([start]) => start > this.#shown);
  }

  #move(window) {
    if (window) this.pick(window[0] === this.newest ? null : window[0]);
  }

  #go() {
    const ms = new Date(id("go").value).getTime();
    const { window_ms: length, hop_ms: hop } = this.#settings;
    if (Number.isNaN(ms) || !length) return;
    this.pick(Math.floor(ms / hop) * hop);
  }

  #refresh() {
    const { window_ms: length } = this.#settings;
    id("picker").hidden = !length || !this.#windows.length;
    const slider = id("slider");
    slider.max = this.#windows.length - 1;
    slider.value = this.#windows.findLastIndex(([start]) => start <= this.#shown);
    id("older").disabled = !this.#older;
    id("newer").disabled = !this.#newer;
    id("live").setAttribute("aria-pressed", String(this.#picked === null));
    if (length && this.#windows.length) {
      const words = this.totals(this.#shown)?.[1];
      const when = span(this.#shown, this.#shown + length);
      slider.setAttribute("aria-valuetext", words === undefined ? when : `${when}, ${number(words)} words`);
    }
    this.draw();
  }
}
