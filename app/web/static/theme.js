// Light or dark, set before anything is drawn: the user's choice, or the system's.
globalThis.theme = (() => {
  const CHOICES = ["auto", "light", "dark"];
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  let chosen = "auto";
  let notify = () => {};
  try {
    const stored = localStorage.getItem("theme");
    if (CHOICES.includes(stored)) chosen = stored;
  } catch {
    // Storage may be forbidden; then the system decides.
  }

  function apply() {
    const dark = chosen === "auto" ? system.matches : chosen === "dark";
    root.dataset.theme = dark ? "dark" : "light";
    notify(chosen);
  }

  function next() {
    chosen = CHOICES[(CHOICES.indexOf(chosen) + 1) % CHOICES.length];
    try {
      localStorage.setItem("theme", chosen);
    } catch {
      // Storage may be forbidden; then the choice lasts for this visit.
    }
    apply();
  }

  function onChange(listener) {
    notify = listener;
    notify(chosen);
  }

  system.addEventListener("change", apply);
  apply();
  return { next, onChange };
})();
