import { patient } from '../patience';

const URL = 'http://here/user/ann/api/contents/work';

function begins(): Response {
  return new Response('404 page not found\n', { status: 404 });
}

/**
 * A fetch that meets a front door without routes so many times; it keeps what it was asked.
 */
function door(times: number): {
  fetch: typeof window.fetch;
  asked: string[];
} {
  const asked: string[] = [];
  return {
    asked,
    fetch: async input => {
      asked.push((input as Request).method);
      return asked.length > times ? new Response('"here"') : begins();
    }
  };
}

describe('patient', () => {
  it('asks a front door that begins again', async () => {
    const { fetch, asked } = door(3);
    const answer = await patient(fetch)(new Request(URL));
    expect(await answer.text()).toBe('"here"');
    expect(asked).toEqual(['GET', 'GET', 'GET', 'GET']);
  });

  it('gives up in the end, with what the front door says', async () => {
    const { fetch } = door(1000);
    const answer = await patient(fetch)(new Request(URL));
    expect(answer.status).toBe(404);
    expect(await answer.text()).toBe('404 page not found\n');
  });

  it('waits for a front door that is not there', async () => {
    let asked = 0;
    const answer = await patient(async () => {
      asked++;
      if (asked < 4) {
        throw new TypeError('Failed to fetch');
      }
      return new Response('"here"');
    })(new Request(URL));
    expect(await answer.text()).toBe('"here"');
    expect(asked).toBe(4);
  });

  it('does not wait for ever', async () => {
    const asking = patient(async () => {
      throw new TypeError('Failed to fetch');
    })(new Request(URL));
    await expect(asking).rejects.toThrow('Failed to fetch');
  });

  it('does not repeat what may have been done', async () => {
    let asked = 0;
    const asking = patient(async () => {
      asked++;
      throw new TypeError('Failed to fetch');
    })(new Request(URL, { method: 'POST', body: 'start' }));
    await expect(asking).rejects.toThrow('Failed to fetch');
    expect(asked).toBe(1);
  });

  it('takes the word of a server that does not find something', async () => {
    let asked = 0;
    const fetch = patient(async () => {
      asked++;
      return new Response('404 page not found\n', {
        status: 404,
        headers: { 'Content-Security-Policy': "default-src 'none'" }
      });
    });
    expect((await fetch(new Request(URL))).status).toBe(404);
    expect(asked).toBe(1);
  });

  it('sends what has a body once', async () => {
    const { fetch, asked } = door(1);
    const upload = new Request(URL, { method: 'PUT', body: 'much' });
    expect((await patient(fetch)(upload)).status).toBe(404);
    expect(asked).toEqual(['PUT']);
  });

  it('stops when nobody wants the answer any more', async () => {
    const given = new AbortController();
    const asking = patient(async input => {
      (input as Request).signal.throwIfAborted();
      return begins();
    })(new Request(URL, { signal: given.signal }));
    given.abort();
    await expect(asking).rejects.toThrow();
  });
});
