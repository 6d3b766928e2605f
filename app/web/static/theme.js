// Light or dark, before anything is drawn. Not set: as the system has it.
(() => {
  try {
    const chosen = localStorage.getItem("theme");
    if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
  } catch {
    // Storage may be forbidden: then it is as the system has it.
  }
})();
