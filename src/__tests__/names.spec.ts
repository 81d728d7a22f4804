import { nullTranslator } from '@jupyterlab/translation';

import { homePath, pathProblem } from '../names';
import { PlatformError } from '../request';

const trans = nullTranslator.load('kpl_lab');

describe('a path of the home', () => {
  it.each([
    ['digits', 'digits'],
    ['~/digits/', 'digits'],
    ['/projects/水果 检测', 'projects/水果 检测'],
    [' digits ', 'digits'],
    ['~', '~'],
    ['', '']
  ])('typed as “%s” is “%s” to the file browser', (typed, path) => {
    expect(homePath(typed)).toBe(path);
  });

  it.each([
    ['no_file', /no “digits” in your home.*Choose where/],
    ['outside_root', /“digits” leads out/],
    ['invalid_path', /^as the server said$/]
  ])('is told at its field when it is refused with %s', (code, words) => {
    const error = new PlatformError({
      code,
      message: 'as the server said',
      status: 404
    });
    expect(pathProblem(trans, error, 'digits')).toMatch(words);
  });

  it('is not blamed for anything else', () => {
    const error = new PlatformError({ code: 'a', message: 'b', status: 422 });
    expect(pathProblem(trans, error, 'digits')).toBeNull();
    expect(pathProblem(trans, null, 'digits')).toBeNull();
  });
});
