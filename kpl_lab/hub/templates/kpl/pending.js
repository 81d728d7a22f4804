// Follows the start of a server: steps with times, each event in words, cancel at once.
(() => {
  const facts = JSON.parse(document.getElementById('kpl-start-facts').textContent);
  const by = id => document.getElementById(id);
  const text = window.kplText;
  const steps = [...by('kpl-steps').children];
  const clock = time => (time ? new Date(time) : new Date()).toLocaleTimeString();

  function reach(name, words, moment = '') {
    const at = steps.findIndex(step => step.dataset.step === name);
    steps.forEach((step, index) => {
      const time = step.querySelector('time');
      if (index <= at && !time.textContent) {
        time.textContent = clock(moment);
      } else if (index > at) {
        time.textContent = '';
      }
      step.classList.toggle('kpl-mod-done', index < at || (index === at && name === 'ready'));
      step.classList.toggle('kpl-mod-now', index === at && name !== 'ready');
    });
    if (at >= 0 && words) {
      steps[at].querySelector('.kpl-Steps-words').textContent = text(words);
    }
  }
  function fail(words, html = '') {
    if (html) {
      // Of our own making (hub/failure.py): what others wrote is escaped there.
      by('kpl-failure').innerHTML = html;
      text.translate(by('kpl-failure'));
      const why = by('kpl-failure').querySelector('[data-step]');
      if (why) {
        reach(why.dataset.step, '');
      }
    } else {
      by('kpl-failure').textContent = text(words);
    }
    const now = steps.find(step => step.classList.contains('kpl-mod-now')) || steps[0];
    now.classList.remove('kpl-mod-now');
    now.classList.add('kpl-mod-failed');
    by('kpl-headline').textContent = text('Your server did not start');
    by('kpl-failure').hidden = false;
    by('kpl-cancel').hidden = true;
    by('kpl-again').hidden = false;
    by('kpl-again').focus();
  }
  function report(event) {
    const line = document.createElement('div');
    const words = event.message ? text(event.message) : JSON.stringify(event);
    line.textContent = [clock(event.time), event.event, words].filter(Boolean).join('  ');
    line.dataset.level = event.level || 'normal';
    by('kpl-raw').append(line);
  }

  const stream = new EventSource(facts.progress);
  stream.onmessage = message => {
    const event = JSON.parse(message.data);
    report(event);
    if (event.failed) {
      stream.close();
      fail((event.message || '').replace(/^Spawn failed:\s*/, ''), event.html_message);
    } else if (event.ready) {
      stream.close();
      reach('ready', '');
      window.location.reload();
    } else {
      reach(event.step || 'queued', event.message, event.time);
    }
  };
  by('kpl-cancel').addEventListener('click', () => {
    by('kpl-cancel').disabled = true;
    by('kpl-headline').textContent = text('Cancelling…');
    stream.close();
    require(['jhapi'], API => {
      const api = new API(window.jhdata.base_url);
      const done = {
        success: () => { window.location = `${window.jhdata.base_url}home`; },
        error: request => fail(request.responseJSON?.message || text('It could not be cancelled; try again.'))
      };
      if (facts.server) {
        api.stop_named_server(facts.user, facts.server, done);
      } else {
        api.stop_server(facts.user, done);
      }
    });
  });
  reach('queued', '');
  window._jupyterhub_page_loaded = true;
})();
