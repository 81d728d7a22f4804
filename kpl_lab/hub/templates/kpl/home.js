// A further server: from its name to the start page. JupyterHub's own script would make the server
// without a choice, and gives all names without Latin letters one and the same address.
(() => {
  const field = document.querySelector('.kpl-NewServer-name');
  const button = document.querySelector('.kpl-NewServer');
  if (!field || !button) {
    return;
  }

  // Letters a to z, digits and single hyphens, a letter first, at most 30: what the hub takes. A name
  // that has to be changed for that keeps a mark of its own, so that no two become one.
  function addressOf(name) {
    const plain = name.toLowerCase().replace(/[^a-z0-9]+/g, '-').replace(/^[^a-z]+|-+$/g, '');
    if (plain === name && name.length <= 30) {
      return name;
    }
    let mark = 0;
    for (const letter of name) {
      mark = (Math.imul(mark, 31) + letter.codePointAt(0)) >>> 0;
    }
    return `${plain.slice(0, 20).replace(/-+$/, '') || 'server'}-${mark.toString(36)}`;
  }

  function go() {
    const name = field.value.trim();
    if (!name) {
      field.focus();
      return;
    }
    const address = addressOf(name);
    const shown = address === name ? '' : `?display_name=${encodeURIComponent(name)}`;
    location.href = `${button.dataset.start}/${address}${shown}`;
  }
  button.addEventListener('click', go);
  field.addEventListener('keydown', event => {
    if (event.key === 'Enter') {
      event.preventDefault();
      go();
    }
  });
})();
