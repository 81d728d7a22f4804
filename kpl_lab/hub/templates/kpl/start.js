// Keeps the summary beside the form up to date; without it the form still works.
(() => {
  const form = document.getElementById('spawn_form');
  const by = id => document.getElementById(id);
  if (!form || !by('kpl-start')) {
    return;
  }
  const text = window.kplText;
  const FIELDS = ['cpu', 'memory', 'gpu', 'shm'];
  // An emptied field means what the environment has by default, here as at the hub.
  const value = name => {
    const chosen = form.elements[name].value === '' && image();
    return Number(chosen ? chosen.dataset[name] : form.elements[name].value) || 0;
  };
  const gib = mib => (mib >= 1024 ? `${+(mib / 1024).toFixed(1)} GiB` : `${mib} MiB`);
  const amount = (kind, number) => (kind === 'memory' ? gib(number) : `${+number.toFixed(1)}`);

  function image() {
    return form.querySelector('input[name=image]:checked');
  }
  function mounts() {
    return [...form.querySelectorAll('input[name=mounts]:checked')].map(box => box.value);
  }
  function quote(word) {
    return /^[\w.:,-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
  }
  function showCapacity() {
    const over = [];
    for (const meter of document.querySelectorAll('.kpl-Meter')) {
      const kind = meter.dataset.kind;
      const limit = Number(meter.dataset.limit);
      const used = Number(meter.dataset.used);
      const mine = value(kind);
      const share = part => `${limit ? Math.min(100, (100 * part) / limit) : 0}%`;
      meter.hidden = limit === 0 && mine === 0;
      meter.querySelector('.kpl-Meter-used').style.width = share(used);
      meter.querySelector('.kpl-Meter-mine').style.width = share(Math.min(mine, Math.max(0, limit - used)));
      meter.querySelector('.kpl-Meter-free').textContent = text('{free} of {limit} free', {
        free: amount(kind, Math.max(0, limit - used)),
        limit: amount(kind, limit)
      });
      meter.classList.toggle('kpl-mod-over', mine > limit - used);
      if (mine > limit - used) {
        over.push({ kind, isImpossible: mine > limit });
      }
    }
    return over;
  }
  function warn(over) {
    const chosen = image();
    const sentences = [];
    if (chosen && chosen.dataset.accelerator === 'gpu' && value('gpu') === 0) {
      sentences.push(text('This environment is made for a GPU, and none is chosen: its work will be slow or fail.'));
    }
    if (over.some(one => one.isImpossible)) {
      sentences.push(text('This is more than the machine has; choose less.'));
    } else if (over.length) {
      sentences.push(text('Not enough is free right now: choose less, or stop a task, service or other server first.'));
    }
    by('kpl-warning').textContent = sentences.join(' ');
    by('kpl-warning').hidden = sentences.length === 0;
  }
  function show() {
    const chosen = image();
    by('kpl-sum-image').textContent = chosen ? chosen.dataset.title : '–';
    const gpu = value('gpu') ? ` · ${value('gpu')} GPU` : '';
    by('kpl-sum-limits').textContent = `${value('cpu')} CPU · ${gib(value('memory'))}${gpu}`;
    by('kpl-sum-mounts').textContent = mounts().join(', ') || '–';
    for (const preset of form.querySelectorAll('input[name=preset]')) {
      preset.checked = FIELDS.every(name => Number(preset.dataset[name]) === value(name));
    }
    const { server } = by('kpl-command').dataset;
    const words = [server ? `kpl server start ${quote(server)}` : 'kpl server start', `--image ${quote(chosen ? chosen.value : '')}`, `--cpu ${value('cpu')}`, `--memory ${value('memory')}`];
    if (value('gpu')) {
      words.push(`--gpu ${value('gpu')}`);
    }
    words.push(...mounts().map(name => `--mount ${quote(name)}`));
    by('kpl-command').replaceChildren(...words.flatMap((word, at) => [at ? ' ' : '', unbroken(word)]));
    warn(showCapacity());
  }
  function unbroken(words) {
    // An option that is broken after its hyphens cannot be read.
    const span = document.createElement('span');
    span.className = 'kpl-Unbroken';
    span.textContent = words;
    return span;
  }
  function take(source) {
    for (const name of FIELDS) {
      form.elements[name].value = source.dataset[name];
    }
  }
  form.addEventListener('change', event => {
    if (event.target.name === 'preset') {
      take(event.target);
    }
    show();
  });
  form.addEventListener('input', event => {
    const list = event.target.dataset.search;
    if (list) {
      const wanted = event.target.value.toLowerCase();
      for (const item of by(list).children) {
        item.hidden = !item.dataset.find.toLowerCase().includes(wanted);
        item.style.display = item.hidden ? 'none' : '';
      }
      return;
    }
    show();
  });
  // A field that is folded away must be seen to be corrected.
  form.addEventListener('invalid', () => { by('kpl-exact').open = true; }, true);
  form.addEventListener('submit', () => {
    by('kpl-start').disabled = true;
    by('kpl-start').textContent = text('Starting…');
  });
  show();
})();
