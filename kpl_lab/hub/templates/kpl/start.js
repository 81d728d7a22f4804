// Keeps the summary beside the form up to date; without it the form still works.
(() => {
  const form = document.getElementById('spawn_form');
  const by = id => document.getElementById(id);
  if (!form || !by('kpl-start')) {
    return;
  }
  const text = window.kplText;
  const { amount, changed, check, choosePreset, gib, image, pool, value } = window.kplLimits(form);
  const FREE = {
    cpu: ['{free} of {limit} CPU free', '{free} of {limit} CPUs free'],
    memory: ['{free} of {limit} free', '{free} of {limit} free'],
    gpu: ['{free} of {limit} GPU free', '{free} of {limit} GPUs free']
  };

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
      const own = pool();
      const limit = Number(own ? own.limit(kind) : meter.dataset.limit);
      const used = Number(own ? own.used(kind) : meter.dataset.used);
      const mine = value(kind);
      const share = part => `${limit ? Math.min(100, (100 * part) / limit) : 0}%`;
      meter.hidden = limit === 0 && mine === 0;
      meter.querySelector('.kpl-Meter-used').style.width = share(used);
      meter.querySelector('.kpl-Meter-mine').style.width = share(Math.min(mine, Math.max(0, limit - used)));
      meter.querySelector('.kpl-Meter-free').textContent = text(FREE[kind][limit === 1 ? 0 : 1], {
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
      sentences.push(
        pool()
          ? text('This is more than this pool has for you; choose less, or another pool.')
          : text('This is more than the machine has; choose less.')
      );
    } else if (over.length) {
      sentences.push(text('Not enough is free right now: the server will wait for its turn. Choose less, or stop something, to start sooner.'));
    }
    by('kpl-warning').textContent = sentences.join(' ');
    by('kpl-warning').hidden = sentences.length === 0;
  }
  function show() {
    check();
    const chosen = image();
    by('kpl-sum-image').textContent = chosen ? chosen.dataset.title : '–';
    const gpu = value('gpu') ? ` · ${value('gpu')} GPU` : '';
    by('kpl-sum-limits').textContent = `${value('cpu')} CPU · ${gib(value('memory'))}${gpu}`;
    by('kpl-sum-mounts').textContent = mounts().join(', ') || '–';
    choosePreset();
    const { server } = by('kpl-command').dataset;
    const words = [server ? `kpl server start ${quote(server)}` : 'kpl server start', `--image ${quote(chosen ? chosen.value : '')}`, `--cpu ${value('cpu')}`, `--memory ${value('memory')}`];
    if (value('gpu')) {
      words.push(`--gpu ${value('gpu')}`);
    }
    if (chosen && value('shm') !== Number(chosen.dataset.shm)) {
      words.push(`--shm ${value('shm')}`);
    }
    if (form.querySelector('input[name=pool]')) {
      words.push(`--pool ${pool().name}`);
    }
    if (form.elements.idle_stop.value !== '') {
      words.push(`--idle-stop ${form.elements.idle_stop.value}`);
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
  // A choice tells of itself as a change, typing as input; each is heard once.
  form.addEventListener('change', event => {
    if (event.target.type === 'radio') {
      changed(event.target);
    }
    show();
  });
  form.addEventListener('input', event => {
    if (event.target.type === 'number') {
      changed(event.target);
      show();
    }
  });
  // Our own sentences stay beside the fields; the browser's would go after a moment.
  form.noValidate = true;
  form.addEventListener('submit', event => {
    const wrong = check();
    if (wrong) {
      event.preventDefault();
      // A field that is folded away must be seen to be corrected.
      by('kpl-exact').open = true;
      wrong.focus();
      return;
    }
    by('kpl-start').disabled = true;
    by('kpl-start').textContent = text('Starting…');
  });
  // A page that is come back to, as it was left.
  window.addEventListener('pageshow', event => {
    if (event.persisted) {
      window.location.reload();
    }
  });
  function showShare() {
    const share = by('kpl-share');
    if (share) {
      share.textContent = text('CPU is shared: {limit} are given out, the machine has {cores}; when all are busy, work gets slower.', share.dataset);
    }
  }
  // What runs beside has changed.
  document.addEventListener('kpl-capacity', () => {
    showShare();
    show();
  });
  by('kpl-command').parentElement.hidden = false;
  showShare();
  show();
})();
