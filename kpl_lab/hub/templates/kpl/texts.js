// Puts the reader's language in the place of the English texts that `data-i18n` marks.
window.kplText = (() => {
  const catalogs = JSON.parse(document.getElementById('kpl-catalogs').textContent);
  const language = navigator.languages.map(tag => tag.split('-')[0]).find(tag => tag === 'en' || tag in catalogs);
  const catalog = catalogs[language] || {};
  const text = (english, values = {}) =>
    (catalog[english] || english).replace(/\{(\w+)\}/g, (_, key) => values[key] ?? '');
  if (language in catalogs) {
    document.documentElement.lang = language;
  }
  for (const element of document.querySelectorAll('[data-i18n]')) {
    element.textContent = text(element.textContent.trim().replace(/\s+/g, ' '));
  }
  for (const element of document.querySelectorAll('[data-i18n-attr]')) {
    const name = element.dataset.i18nAttr;
    element.setAttribute(name, text(element.getAttribute(name)));
  }
  return text;
})();
