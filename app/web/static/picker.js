// The window picker: a slider over all windows in the table, above a strip of their word totals.

import { number, span } from "./format.js";

const id = (name) => document.getElementById(name);

/** `onPick(start)` gets the start (ms) of the picked window; null is the newest one, live. */
export class Picker {
  #windows = []; // [start, words, distinct], oldest first
  #picked = null;
  #live = null; // start of the newest window; later ones are from clocks that are ahead
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

  /** Set all windows, newest first. */
  show(windows) {
    this.#windows = windows.toReversed();
    this.#refresh();
  }

  /** Set the newest window and its totals. */
  update(start, words, distinct) {
    const known = this.totals(start);
    if (start === this.#live && known?.[1] === words && known?.[2] === distinct) return;
    this.#live = start;
    known?.splice(1, 2, words, distinct);
    this.#refresh();
  }

  /** [start, words, distinct words] of a window; undefined if it is not in the table. */
  totals(start) {
    return this.#windows.find((window) => window[0] === start);
  }

  /** Start of the newest window; undefined if there is none. */
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
    // The slider's thumb is 16 px wide and stays inside, so the first and last column begin 8 px inside.
    const step = count > 1 ? (width - 16) / (count - 1) : 0;
    const column = Math.max(1, Math.min(12, step * 0.7));
    this.#windows.forEach(([start, words], at) => {
      const tall = words ? Math.max(2, (height - 2) * (words / most)) : 0;
      const middle = 8 + at * step;
      pen.fillStyle = style.getPropertyValue(start === this.#shown ? "--accent" : "--strip");
      pen.fillRect(middle - column / 2, height - tall, column, tall);
    });
  }

  /** Start of the shown window; it may be missing in the table. */
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
