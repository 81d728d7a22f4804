import type { ICall } from '../interface';
import {
  command,
  curl,
  isFile,
  prepare,
  python,
  readInterface
} from '../interface';

const address = 'http://here/svc/default/digits/';

function call(format: string, inputs: Record<string, unknown>[]): ICall {
  return readInterface([
    { name: 'predict', path: '/predict', format, inputs }
  ])[0];
}

const picture = call('form', [
  { name: 'image', type: 'File', required: true },
  { name: 'top', type: 'Int', example: 3 }
]);

describe('readInterface', () => {
  it('takes nothing for granted', () => {
    expect(readInterface([{}])).toEqual([
      { name: '/', path: '/', method: 'POST', format: 'json', inputs: [] }
    ]);
    expect(
      readInterface([{ format: 'smoke', inputs: 'none' }])[0]
    ).toMatchObject({ format: 'json', inputs: [] });
  });

  it('knows files', () => {
    expect(picture.inputs.map(input => isFile(picture, input))).toEqual([
      true,
      false
    ]);
  });
});

describe('prepare', () => {
  it('puts params into the query', () => {
    const text = call('params', [{ name: 'text' }]);
    expect(prepare(text, { text: '足球 1' }).path).toBe(
      '/predict?text=%E8%B6%B3%E7%90%83+1'
    );
  });

  it('sends a picture as a form', () => {
    const file = new File(['x'], 'seven.png', { type: 'image/png' });
    const { body } = prepare(picture, { image: file, top: '3' });
    expect(body).toBeInstanceOf(FormData);
    expect((body as FormData).has('image')).toBe(true);
    expect((body as FormData).get('top')).toBe('3');
  });

  it('sends typed JSON', () => {
    const json = call('json', [
      { name: 'n', type: 'Int' },
      { name: 'list', type: 'List' },
      { name: 'text' }
    ]);
    const { body, headers } = prepare(json, {
      n: '3',
      list: '[1, 2]',
      text: '3'
    });
    expect(JSON.parse(String(body))).toEqual({ n: 3, list: [1, 2], text: '3' });
    expect(headers).toEqual({ 'Content-Type': 'application/json' });
  });

  it('sends a file as it is, with its type', () => {
    const raw = call('file', [{ name: 'image' }]);
    const file = new File(['x'], 'a.jpg', { type: 'image/jpeg' });
    expect(prepare(raw, { image: file })).toMatchObject({
      body: file,
      headers: { 'Content-Type': 'image/jpeg' }
    });
  });
});

describe('the same call elsewhere', () => {
  const file = new File(['x'], 'my seven.png', { type: 'image/png' });
  const values = { image: file, top: '3' };

  it('is a line for a terminal', () => {
    expect(curl(picture, values, address, false)).toBe(
      `curl -X POST -H "Authorization: token $JUPYTERHUB_API_TOKEN" -F 'image=@my seven.png' -F top=3 http://here/svc/default/digits/predict`
    );
  });

  it('names no token where none is needed', () => {
    expect(curl(picture, values, address, true)).not.toContain('token');
    expect(python(picture, values, address, true)).not.toContain('token');
  });

  it('is a kpl command', () => {
    expect(command(picture, values, 'digits')).toBe(
      `kpl service call digits --path /predict --file 'image=my seven.png' --data '{"top":3}'`
    );
  });

  it('is Python', () => {
    expect(python(picture, values, address, false)).toContain(
      'httpx.request("POST", "http://here/svc/default/digits/predict", files={"image": open("my seven.png", "rb")}, data={"top": "3"}, headers=headers)'
    );
  });
});
