import { ServerConnection } from '@jupyterlab/services';

import { PlatformError } from '../../request';
import { LocalApi } from '../local';

const SENDING = { id: 3, state: 'sending', sent: 0, total: null };

/**
 * A server that answers one after the other, and what it was asked.
 */
function server(...answers: object[]): { api: LocalApi; asked: string[] } {
  const asked: string[] = [];
  const settings = ServerConnection.makeSettings({
    baseUrl: 'http://here/',
    fetch: async (info: RequestInfo | URL) => {
      const { method, url } = info as Request;
      asked.push(`${method} ${new URL(url).pathname}`);
      return new Response(JSON.stringify(answers.shift()));
    }
  });
  return { api: new LocalApi(settings), asked };
}

const body = { path: 'pictures', name: 'fruit' };

describe('a send', () => {
  it('is followed until the platform has made something of it', async () => {
    const { api, asked } = server(
      SENDING,
      { ...SENDING, sent: 4, total: 8 },
      { ...SENDING, state: 'done', sent: 8, total: 8, result: { id: 1 } }
    );
    const seen: [number, number | null][] = [];
    const made = await api.createDataset(body, {
      signal: new AbortController().signal,
      onProgress: (sent, total) => seen.push([sent, total])
    });
    expect(made).toEqual({ id: 1 });
    expect(seen.at(-1)).toEqual([4, 8]);
    expect(asked).toEqual([
      'POST /kpl-lab/local/datasets',
      'GET /kpl-lab/local/jobs/3',
      'GET /kpl-lab/local/jobs/3'
    ]);
  });

  it('is given up at the server, and ends with that', async () => {
    const problem = { code: 'stopped', message: 'Given up.', request_id: 'r' };
    const { api, asked } = server(
      SENDING,
      { ...SENDING },
      { ...SENDING, state: 'failed', problem, status: 409 }
    );
    const controller = new AbortController();
    const made = api.createDataset(body, {
      signal: controller.signal,
      onProgress: (_, total) => total === null && controller.abort()
    });
    await expect(made).rejects.toMatchObject({ code: 'stopped', status: 409 });
    await expect(made).rejects.toBeInstanceOf(PlatformError);
    expect(asked).toContain('DELETE /kpl-lab/local/jobs/3');
  });
});
