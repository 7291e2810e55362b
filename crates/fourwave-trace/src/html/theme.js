// Before anything is painted: the theme that was chosen last time, where that can be kept.
try {
  const theme = localStorage.getItem('fourwave-theme');
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
} catch { /* A page from a file may have no storage: the system's theme then. */ }
