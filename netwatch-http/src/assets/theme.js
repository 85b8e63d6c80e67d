// Before the first paint, so that nothing flashes: the theme that was chosen here before.
(() => {
  let theme = null;
  try {
    theme = localStorage.getItem('netwatch.theme');
  } catch {
    // Storage is denied: the system's theme it is.
  }
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
})();
