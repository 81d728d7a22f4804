import { nullTranslator } from '@jupyterlab/translation';

import { nameOf, nameProblem } from '../names';
import { datasetCode, pythonValue, quoted } from '../snippets';

const trans = nullTranslator.load('kpl_lab');

describe('Python literals', () => {
  it('are those of Python, not of JSON', () => {
    expect(
      pythonValue({ a: [true, null, 1.5], 'b"': 'x\n', c: { d: false } })
    ).toBe('{"a": [True, None, 1.5], "b\\"": "x\\n", "c": {"d": False}}');
  });
});

describe('words of a shell', () => {
  it('are quoted where they have to be', () => {
    expect(quoted('data=dataset:digits:2')).toBe('data=dataset:digits:2');
    expect(quoted('训练')).toBe('训练');
    expect(quoted('two words')).toBe("'two words'");
    expect(quoted("it's $HOME")).toBe("'it'\\''s $HOME'");
  });
});

describe('code for a dataset', () => {
  it('reads the mounted folder, and the input when it runs as a task', () => {
    const code = datasetCode('datasets/水果 1', false);
    expect(code).toContain('Path.home() / "datasets/水果 1"');
    expect(code).toContain('io.get_input_path("data"');
    expect(code).not.toContain('Image');
  });
});

describe('names', () => {
  it.each(['digits', '水果检测', 'my data 2', ''])('“%s” may be taken', name =>
    expect(nameProblem(trans, name)).toBeNull()
  );

  it.each(['42', 'a/b', 'a:b', '.hidden', '-x', 'a\u0000b', 'x'.repeat(129)])(
    '“%s” may not',
    name => expect(nameProblem(trans, name)).toBeTruthy()
  );

  it('are proposed from the path', () => {
    expect(nameOf('work/digits/')).toBe('digits');
    expect(nameOf('pictures.tar.gz')).toBe('pictures');
  });
});
