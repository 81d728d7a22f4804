import { ServerConnection } from '@jupyterlab/services';

import { PlatformError, address, request, requestJSON } from '../request';

function settingsAnswering(
  answer: (url: string, init: RequestInit) => Response | Promise<Response>
): ServerConnection.ISettings {
  return ServerConnection.makeSettings({
    baseUrl: 'http://here/user/ann/',
    fetch: async (info: RequestInfo | URL) => {
      const asked = info as Request;
      return answer(asked.url, asked);
    }
  });
}

describe('address', () => {
  const settings = settingsAnswering(() => new Response());

  it('is below the extension’s folder, with the query that says something', () => {
    expect(
      address(settings, 'api/tasks', {
        limit: 50,
        search: '水 果',
        cursor: null,
        name: ''
      })
    ).toBe(
      'http://here/user/ann/kpl-lab/api/tasks?limit=50&search=%E6%B0%B4+%E6%9E%9C'
    );
  });
});

describe('requestJSON', () => {
  it('sends JSON and reads JSON', async () => {
    let sent: unknown;
    const settings = settingsAnswering(async (_, init) => {
      sent = await (init as Request).json();
      return new Response('{"id": 7}');
    });
    const answer = await requestJSON<{ id: number }>(settings, 'api/tasks', {
      method: 'POST',
      json: { function: 'train' }
    });
    expect(sent).toEqual({ function: 'train' });
    expect(answer.id).toBe(7);
  });

  it('reads an empty answer as nothing', async () => {
    const settings = settingsAnswering(
      () => new Response(null, { status: 204 })
    );
    const answer = await requestJSON(settings, 'api/tasks/1', {
      method: 'DELETE'
    });
    expect(answer).toBeUndefined();
  });

  it('raises the platform’s own words', async () => {
    const settings = settingsAnswering(
      () =>
        new Response(
          JSON.stringify({
            code: 'quota',
            message: 'You may use 4 CPU.',
            detail: { field: 'resources.cpu' },
            request_id: 'abc'
          }),
          { status: 429 }
        )
    );
    const error = await requestJSON(settings, 'api/tasks').catch(
      (reason: unknown) => reason
    );
    expect(error).toBeInstanceOf(PlatformError);
    expect(error).toMatchObject({
      code: 'quota',
      message: 'You may use 4 CPU.',
      status: 429,
      detail: { field: 'resources.cpu' },
      requestId: 'abc',
      isPassing: false
    });
  });

  it('takes a text that is no problem document as the message', async () => {
    const settings = settingsAnswering(
      () => new Response('Bad gateway', { status: 502 })
    );
    await expect(requestJSON(settings, 'api/me')).rejects.toMatchObject({
      message: 'Bad gateway',
      code: 'http_502',
      isPassing: true
    });
  });

  it('tells a dead server from a refusal', async () => {
    const settings = settingsAnswering(() => {
      throw new TypeError('Failed to fetch');
    });
    await expect(requestJSON(settings, 'api/me')).rejects.toMatchObject({
      code: 'unreachable',
      status: 0
    });
  });
});

describe('a foreign answer', () => {
  it('is handed on whatever its status', async () => {
    const settings = settingsAnswering(
      () => new Response('no such digit', { status: 400 })
    );
    const answer = await request(settings, 'local/services/1/call', {
      isForeign: true
    });
    expect(answer.status).toBe(400);
    expect(await answer.text()).toBe('no such digit');
  });

  it('is a refusal when it is a problem document', async () => {
    const settings = settingsAnswering(
      () =>
        new Response('{"code": "not_found", "message": "No service 1."}', {
          status: 404,
          headers: { 'Content-Type': 'application/problem+json' }
        })
    );
    await expect(
      request(settings, 'local/services/1/call', { isForeign: true })
    ).rejects.toMatchObject({ code: 'not_found' });
  });
});

describe('a front door that has just been restarted', () => {
  const bare = (): Response =>
    new Response('404 page not found\n', {
      status: 404,
      headers: { 'Content-Type': 'text/plain; charset=utf-8' }
    });

  it('is asked again, with the same body', async () => {
    const sent: string[] = [];
    const settings = settingsAnswering(async (_, init) => {
      sent.push(await (init as Request).text());
      return sent.length < 3 ? bare() : new Response('"7"');
    });
    const answer = await request(settings, 'local/services/1/call', {
      method: 'POST',
      body: 'a picture',
      isForeign: true
    });
    expect(await answer.text()).toBe('"7"');
    expect(sent).toEqual(['a picture', 'a picture', 'a picture']);
  });

  it('is asked once without a body: all of JupyterLab is patient there', async () => {
    let asked = 0;
    const settings = settingsAnswering(() => {
      asked++;
      return bare();
    });
    await expect(
      request(settings, 'local/services/1/call', { isForeign: true })
    ).rejects.toMatchObject({ code: 'no_route' });
    expect(asked).toBe(1);
  });

  it('is not taken for a service that does not find something', async () => {
    let asked = 0;
    const settings = settingsAnswering(() => {
      asked++;
      return new Response('404 page not found\n', {
        status: 404,
        headers: { 'Content-Security-Policy': "default-src 'none'" }
      });
    });
    const answer = await request(settings, 'local/services/1/call', {
      method: 'POST',
      isForeign: true
    });
    expect([answer.status, asked]).toEqual([404, 1]);
  });

  it('is not asked without end', async () => {
    const settings = settingsAnswering(bare);
    await expect(
      request(settings, 'local/services/1/call', {
        method: 'POST',
        isForeign: true
      })
    ).rejects.toMatchObject({ code: 'no_route', isPassing: true });
  });
});
