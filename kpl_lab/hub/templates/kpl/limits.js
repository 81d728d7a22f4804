// The fields of the limits: what they may be for the chosen environment on this machine.
window.kplLimits = form => {
  const FIELDS = ['cpu', 'memory', 'gpu', 'shm'];
  const WORDS = { cpu: 'CPU cores', memory: 'Memory', gpu: 'GPUs', shm: 'Shared memory' };
  const text = window.kplText;
  const by = id => document.getElementById(id);
  const part = by('kpl-limits');
  const image = () => form.querySelector('input[name=image]:checked');
  // The chosen resource pool, with what there is for this user in it; null where there are none.
  const pool = () => {
    const all = [...form.querySelectorAll('#kpl-capacity data')];
    const { value: name } = form.querySelector('input[name=pool]:checked') || {};
    const found = all.find(one => one.value === name) || all[0];
    return found
      ? {
          name: found.value,
          limit: kind => found.dataset[`${kind}Limit`],
          used: kind => found.dataset[`${kind}Used`]
        }
      : null;
  };
  const capital = word => word[0].toUpperCase() + word.slice(1);
  const gib = mib => (mib >= 1024 ? `${+(mib / 1024).toFixed(1)} GiB` : `${mib} MiB`);
  const amount = (kind, number) => (kind === 'memory' || kind === 'shm' ? gib(number) : `${+number.toFixed(1)}`);
  const measured = (kind, number) => amount(kind, number) + ({ cpu: ' CPU', gpu: ' GPU' }[kind] || '');
  // An emptied field means what the environment has by default, here as at the hub.
  const value = name => {
    const chosen = form.elements[name].value === '' && image();
    return Number(chosen ? chosen.dataset[name] : form.elements[name].value) || 0;
  };

  // The most of a kind that can be had, and in words who says so; null where nobody does.
  function bound(name) {
    const chosen = image();
    const ofImage = chosen ? chosen.dataset[`most${capital(name)}`] : undefined;
    const ofMachine = (pool() && pool().limit(name)) ?? form.elements[name].dataset.machine;
    const isOfImage = ofImage !== undefined && !(Number(ofMachine) < Number(ofImage));
    if (!isOfImage && ofMachine === undefined) {
      return null;
    }
    const most = Number(isOfImage ? ofImage : ofMachine);
    const values = { image: isOfImage ? chosen.dataset.title : '', most: measured(name, most) };
    if (!isOfImage && pool() && pool().limit(name) !== undefined) {
      return {
        most,
        words: text('This pool has {most} for you.', values),
        remedy: text('This pool has {most} for you; choose less, or another pool.', values)
      };
    }
    return {
      most,
      words: isOfImage ? text('{image} is given at most {most}.', values) : text('The machine has {most} in all.', values),
      remedy: isOfImage
        ? text('{image} is given at most {most}; choose less.', values)
        : text('The machine has {most} in all; choose less.', values)
    };
  }
  // What is wrong with a field, in words; empty where nothing is.
  function problem(name) {
    const { value: typed, validity, min } = form.elements[name];
    const number = Number(typed);
    if (validity.badInput || !Number.isFinite(number)) {
      return text('Write a number.');
    }
    if (typed === '') {
      return '';
    }
    if (name !== 'cpu' && !Number.isInteger(number)) {
      return text('Write a whole number.');
    }
    if (number < Number(min)) {
      return text('Write at least {least}.', { least: min });
    }
    const limit = bound(name);
    return limit && number > limit.most ? limit.remedy : '';
  }
  // Say what is wrong beside each field; returns the first such field.
  function check() {
    const wrong = FIELDS.filter(name => {
      const words = problem(name);
      const note = by(`kpl-${name}-wrong`);
      form.elements[name].setAttribute('aria-invalid', String(words !== ''));
      if (note.textContent !== words) {
        note.textContent = words;
      }
      note.hidden = words === '';
      return words !== '';
    });
    return wrong.length ? form.elements[wrong[0]] : null;
  }
  function takeFrom(source) {
    for (const name of FIELDS) {
      form.elements[name].value = source.dataset[name];
    }
  }
  // Lower what is above what can be had, and say so.
  function lower() {
    const sentences = [];
    for (const name of FIELDS) {
      const before = Number(form.elements[name].value);
      const limit = bound(name);
      if (limit && before > limit.most) {
        form.elements[name].value = limit.most;
        const values = { what: text(WORDS[name]), before: amount(name, before), after: amount(name, limit.most) };
        sentences.push(text('{what} lowered from {before} to {after}: that is the most here.', values));
      }
    }
    by('kpl-lowered').textContent = sentences.join(' ');
    by('kpl-lowered').hidden = sentences.length === 0;
  }
  function showBounds() {
    for (const name of FIELDS) {
      const limit = bound(name);
      form.elements[name].max = limit ? limit.most : '';
      form.elements[name].placeholder = image() ? image().dataset[name] : '';
      by(`kpl-${name}-most`).textContent = limit ? limit.words : '';
      by(`kpl-${name}-most`).hidden = limit === null;
    }
    for (const preset of form.querySelectorAll('input[name=preset]')) {
      const above = FIELDS.map(name => [name, bound(name)]).find(([name, limit]) => limit && Number(preset.dataset[name]) > limit.most);
      const why = by(preset.getAttribute('aria-describedby'));
      preset.disabled = above !== undefined;
      why.textContent = above ? above[1].words : '';
      why.hidden = above === undefined;
    }
  }
  function choosePreset() {
    for (const preset of form.querySelectorAll('input[name=preset]')) {
      preset.checked = FIELDS.every(name => Number(preset.dataset[name]) === value(name));
    }
  }
  // Another environment brings its own limits, unless the user has chosen some.
  function follow() {
    if (part.dataset.own !== 'true' && image()) {
      takeFrom(image());
    }
    showBounds();
    lower();
  }
  function changed(field) {
    if (field.name === 'image' || field.name === 'pool') {
      follow();
    } else if (field.name === 'preset' || FIELDS.includes(field.name)) {
      part.dataset.own = 'true';
      by('kpl-lowered').hidden = true;
    }
    if (field.name === 'preset') {
      takeFrom(field);
    }
  }

  showBounds();
  return { amount, changed, check, choosePreset, gib, image, pool, value };
};
