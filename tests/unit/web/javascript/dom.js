// A small document: as much of the DOM as the page's modules use, so that node can test them.

export class Element {
  constructor(tag) {
    this.tagName = tag.toUpperCase();
    this.children = [];
    this.parent = null;
    this.attributes = new Map();
    this.style = {};
    this.dataset = {};
    this.hidden = false;
    this.disabled = false;
    this.offsetTop = 0;
    this.clientWidth = 0;
    this.listeners = new Map();
    this.text = "";
  }

  get textContent() {
    return this.text + this.children.map((child) => child.textContent ?? child).join("");
  }

  set textContent(text) {
    this.children = [];
    this.text = String(text);
  }

  get isConnected() {
    return this === document.body || (this.parent?.isConnected ?? false);
  }

  get firstElementChild() {
    return this.children.find((child) => child instanceof Element) ?? null;
  }

  get nextElementSibling() {
    const siblings = this.parent.children;
    return siblings.slice(siblings.indexOf(this) + 1).find((each) => each instanceof Element) ?? null;
  }

  get tBodies() {
    return this.children.filter((child) => child.tagName === "TBODY");
  }

  append(...nodes) {
    for (const node of nodes) this.insertBefore(node, null);
  }

  insertBefore(node, next) {
    if (node instanceof Element) {
      node.remove();
      node.parent = this;
    }
    const at = next === null ? this.children.length : this.children.indexOf(next);
    this.children.splice(at, 0, node);
  }

  replaceChildren(...nodes) {
    this.textContent = "";
    this.append(...nodes);
  }

  remove() {
    if (this.parent) this.parent.children = this.parent.children.filter((each) => each !== this);
    this.parent = null;
  }

  setAttribute(name, value) {
    this.attributes.set(name, value);
  }

  getAttribute(name) {
    return this.attributes.get(name) ?? null;
  }

  removeAttribute(name) {
    this.attributes.delete(name);
  }

  addEventListener(type, listener) {
    this.listeners.set(type, listener);
  }

  /** Call the listener of an event. */
  emit(type, event = {}) {
    this.listeners.get(type)?.(event);
  }

  focus() {
    document.activeElement = this;
  }

  scrollIntoView() {}

  animate() {}
}

/** A new document with elements of the given ids; it becomes the global one. */
export function openDocument(...ids) {
  const body = new Element("body");
  const byId = new Map();
  globalThis.document = {
    body,
    activeElement: body,
    hidden: false,
    listeners: new Map(),
    createElement: (tag) => new Element(tag),
    getElementById: (id) => byId.get(id),
    addEventListener: (type, listener) => document.listeners.set(type, listener),
    emit: (type) => document.listeners.get(type)?.(),
  };
  for (const id of ids) {
    const element = new Element("div");
    byId.set(id, element);
    body.append(element);
  }
  globalThis.matchMedia = () => ({ matches: true, addEventListener: () => {} });
  globalThis.ResizeObserver = class {
    observe() {}
  };
  globalThis.devicePixelRatio = 1;
  return document;
}
