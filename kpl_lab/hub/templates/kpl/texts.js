// Puts the reader's language in the place of the English texts that `data-i18n` marks.
window.kplText = (() => {
  const catalogs = JSON.parse(document.getElementById('kpl-catalogs').textContent);
  const language = navigator.languages.map(tag => tag.split('-')[0]).find(tag => tag === 'en' || tag in catalogs);
  const catalog = catalogs[language] || {};
  const fill = (words, values) => words.replace(/\{(\w+)\}/g, (_, key) => values[key] ?? '');
  // The platform's sentences come with their numbers filled in: those with places for them are
  // looked for by what stands around the places, those with most words around them first.
  const literal = words => words.replace(/[.*+?^$()|[\]\\/]/g, '\\$&');
  const fixed = english => english.replace(/\{\w+\}/g, '').length;
  const patterns = Object.keys(catalog)
    .filter(english => english.includes('{'))
    .sort((one, other) => fixed(other) - fixed(one))
    .map(english => [new RegExp(`^${literal(english).replace(/\{(\w+)\}/g, '(?<$1>.+?)')}$`, 's'), catalog[english]]);
  const plain = Object.keys(catalog).filter(english => !english.includes('{'));
  function text(english, values = null) {
    if (values || catalog[english]) {
      return fill(catalog[english] || english, values || {});
    }
    // A cause, with its full stop or without, and after it what to do about it.
    const action = plain.find(words => english.endsWith(`. ${words}`));
    for (const cut of action === undefined ? [] : [1, 2]) {
      const cause = english.slice(0, -action.length - cut);
      const words = text(cause);
      if (words !== cause) {
        return words.replace(/([^。.！？：])$/, '$1。') + catalog[action];
      }
    }
    for (const [pattern, words] of patterns) {
      const match = pattern.exec(english);
      if (match) {
        return fill(words, Object.fromEntries(Object.entries(match.groups).map(([key, part]) => [key, text(part)])));
      }
    }
    return english;
  }
  if (language in catalogs) {
    document.documentElement.lang = language;
  }
  text.translate = root => {
    for (const element of root.querySelectorAll('[data-i18n]')) {
      element.textContent = text(element.textContent.trim().replace(/\s+/g, ' '));
    }
    for (const element of root.querySelectorAll('[data-i18n-attr]')) {
      const name = element.dataset.i18nAttr;
      element.setAttribute(name, text(element.getAttribute(name)));
    }
  };
  text.translate(document);
  return text;
})();
