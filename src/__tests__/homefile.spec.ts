import { ServerConnection } from '@jupyterlab/services';
import { nullTranslator } from '@jupyterlab/translation';

import type { IHome } from '../homefile';
import { readHomeFile } from '../homefile';

const trans = nullTranslator.load('kpl_lab');

function home(answer: (url: string) => Response): IHome {
  return {
    contents: {
      getDownloadUrl: async path => `http://here/user/ann/files/${path}`
    },
    serverSettings: ServerConnection.makeSettings({
      baseUrl: 'http://here/user/ann/',
      fetch: async (info: RequestInfo | URL) => answer((info as Request).url)
    })
  };
}

const seven = { name: '0007.png', path: 'pictures/7/0007.png', type: 'file' };

describe('a file of the home', () => {
  it('is read as one that was chosen in the browser', async () => {
    const asked: string[] = [];
    const file = await readHomeFile(
      home(url => {
        asked.push(url.split('?')[0]);
        return new Response('pixels', {
          headers: { 'Content-Type': 'image/png' }
        });
      }),
      trans,
      seven
    );
    expect(asked).toEqual(['http://here/user/ann/files/pictures/7/0007.png']);
    expect([file.name, file.type, file.size]).toEqual([
      '0007.png',
      'image/png',
      6
    ]);
  });

  it('that is gone is told by its path', async () => {
    await expect(
      readHomeFile(
        home(() => new Response('', { status: 404 })),
        trans,
        seven
      )
    ).rejects.toMatchObject({
      message:
        '“pictures/7/0007.png” cannot be read; it may have been moved or deleted.'
    });
  });

  it('is not a folder', async () => {
    await expect(
      readHomeFile(
        home(() => new Response('')),
        trans,
        { ...seven, type: 'directory' }
      )
    ).rejects.toMatchObject({ code: 'no_file' });
  });
});
