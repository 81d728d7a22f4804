// The lists of the start page: search, chips, and the servers that run.
(() => {
  const by = id => document.getElementById(id);
  const form = by('spawn_form');
  const running = () => by('kpl-running');
  if (!form || !running()) {
    return;
  }
  const text = window.kplText;

  function sieve(list) {
    const search = form.querySelector(`[data-search=${list.id}]`);
    const wanted = search ? search.value.toLowerCase() : '';
    const chips = list.id === 'kpl-images' ? [...form.querySelectorAll('.kpl-Chip[aria-pressed=true]')].map(chip => chip.dataset.chip) : [];
    for (const item of list.children) {
      const its = item.dataset.chips ? JSON.parse(item.dataset.chips) : [];
      const isShown = item.dataset.find.toLowerCase().includes(wanted) && chips.every(chip => its.includes(chip));
      item.hidden = !isShown;
      item.style.display = isShown ? '' : 'none';
    }
  }
  form.addEventListener('input', event => {
    const list = event.target.dataset.search;
    if (list) {
      sieve(by(list));
    }
  });
  if (by('kpl-chips')) {
    by('kpl-chips').hidden = false;
    by('kpl-chips').addEventListener('click', event => {
      const chip = event.target.closest('.kpl-Chip');
      if (chip) {
        chip.setAttribute('aria-pressed', String(chip.getAttribute('aria-pressed') !== 'true'));
        sieve(by('kpl-images'));
      }
    });
  }

  // What runs and what is free as the hub says it now; everything that was chosen stays.
  async function refresh() {
    const answer = await fetch(window.location.href);
    const fresh = new DOMParser().parseFromString(await answer.text(), 'text/html');
    for (const id of ['kpl-running', 'kpl-capacity']) {
      const [now, then] = [fresh.getElementById(id), by(id)];
      if (now && then) {
        then.replaceWith(now);
        text.translate(now);
      }
    }
    document.dispatchEvent(new Event('kpl-capacity'));
    offer();
  }
  function stop(row) {
    const { user } = running().dataset;
    row.querySelector('[data-stop]').disabled = true;
    row.querySelector('[data-stop]').textContent = text('Stopping…');
    require(['jhapi'], API => {
      const api = new API(window.jhdata.base_url);
      const done = {
        success: refresh,
        error: request => {
          by('kpl-stop-wrong').textContent = request.responseJSON?.message || text('It could not be stopped; try again.');
          by('kpl-stop-wrong').hidden = false;
          offer();
        }
      };
      if (row.dataset.name) {
        api.stop_named_server(user, row.dataset.name, done);
      } else {
        api.stop_server(user, done);
      }
    });
  }
  function offer() {
    for (const row of running().querySelectorAll('[data-name]')) {
      const button = row.querySelector('[data-stop]');
      if (button) {
        button.hidden = button.disabled = false;
        button.textContent = text('Stop');
        button.onclick = () => stop(row);
      }
    }
    if (running().querySelector('[data-state=stopping]')) {
      window.setTimeout(refresh, 2000);
    }
  }
  offer();
})();
