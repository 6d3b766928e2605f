// The top words as bars that move: a list of buttons, with each word and count as text too.

import { number, shown } from "./format.js";

const MOVE_MS = 450;
const still = matchMedia("(prefers-reduced-motion: reduce)");

/** `onChoose(word, length)` is called for the chosen bar; `length` is undefined unless the word is cut. */
export class Bars {
  #list;
  #rows = new Map();
  #onChoose;
  #chosen = null;

  constructor(list, onChoose) {
    this.#list = list;
    this.#onChoose = onChoose;
  }

  /** Show words, [word, count, whole length if cut], the most frequent first. */
  show(words) {
    const before = new Map([...this.#rows].map(([word, row]) => [word, row.item.offsetTop]));
    const focused = document.activeElement;
    const most = Math.max(1, ...words.map(([, count]) => count));
    const kept = new Set(words.map(([word, , length]) => `${length ?? ""} ${word}`));
    for (const [key, row] of this.#rows) {
      if (!kept.has(key)) {
        row.item.remove();
        this.#rows.delete(key);
      }
    }
    let next = this.#list.firstElementChild;
    for (const [word, count, length] of words) {
      const key = `${length ?? ""} ${word}`;
      const row = this.#rows.get(key) ?? this.#add(key, word, length);
      this.#fill(row, count, most);
      if (row.item === next) next = next.nextElementSibling;
      else this.#place(row.item, next);
    }
    if (focused !== document.activeElement && focused?.isConnected) {
      focused.focus({ preventScroll: true });
    }
    this.#animate(before);
  }

  /** Mark the word whose history is shown; null marks none. */
  choose(word) {
    this.#chosen = word;
    for (const row of this.#rows.values()) this.#mark(row);
  }

  /** The button of a word; undefined if the word is not among the top words. */
  button(word) {
    return [...this.#rows.values()].find((row) => row.word === word)?.button;
  }

  #add(key, word, length) {
    const item = document.createElement("li");
    const button = document.createElement("button");
    button.type = "button";
    const name = document.createElement("bdi");
    name.className = "name";
    name.textContent = shown(word, length);
    const track = document.createElement("span");
    track.className = "track";
    const bar = document.createElement("span");
    bar.className = "fill";
    track.append(bar);
    const count = document.createElement("span");
    count.className = "count";
    button.append(name, " ", track, count);
    button.addEventListener("click", () => this.#onChoose(word, length));
    item.append(button);
    const row = { item, button, bar, count, word };
    this.#rows.set(key, row);
    this.#mark(row);
    return row;
  }

  #fill(row, count, most) {
    row.count.textContent = number(count);
    row.bar.style.width = `${(100 * count) / most}%`;
  }

  #mark(row) {
    if (row.word === this.#chosen) row.button.setAttribute("aria-current", "true");
    else row.button.removeAttribute("aria-current");
  }

  #place(item, next) {
    // moveBefore keeps the transitions of an element; insertBefore restarts them.
    if (item.isConnected && this.#list.moveBefore) this.#list.moveBefore(item, next);
    else this.#list.insertBefore(item, next);
  }

  #animate(before) {
    if (still.matches) return;
    const timing = { duration: MOVE_MS, easing: "cubic-bezier(.2,.8,.2,1)" };
    for (const [key, { item }] of this.#rows) {
      const from = before.get(key);
      if (from === undefined) item.animate({ opacity: [0, 1] }, timing);
      else if (from !== item.offsetTop) {
        const distance = `translateY(${from - item.offsetTop}px)`;
        item.animate({ transform: [distance, "none"] }, timing);
      }
    }
  }
}
