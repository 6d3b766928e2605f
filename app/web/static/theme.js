// Light or dark, before anything is drawn: as chosen here, or as the system has it.
globalThis.theme = (() => {
  const CHOICES = ["auto", "light", "dark"];
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  let chosen = "auto";
  let heard = () => {};
  try {
    const stored = localStorage.getItem("theme");
    if (CHOICES.includes(stored)) chosen = stored;
  } catch {
    // Storage may be forbidden: then it is as the system has it.
  }

  function apply() {
    const dark = chosen === "auto" ? system.matches : chosen === "dark";
    root.dataset.theme = dark ? "dark" : "light";
    heard(chosen);
  }

  function next() {
    chosen = CHOICES[(CHOICES.indexOf(chosen) + 1) % CHOICES.length];
    try {
      localStorage.setItem("theme", chosen);
    } catch {
      // Then it holds for this visit.
    }
    apply();
  }

  function onChange(listener) {
    heard = listener;
    heard(chosen);
  }

  system.addEventListener("change", apply);
  apply();
  return { next, onChange };
})();
