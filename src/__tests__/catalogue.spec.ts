import * as fs from 'fs';
import * as path from 'path';

import { textsOf } from './texts';

const ROOT = path.resolve(__dirname, '../..');

type Catalogue = Record<string, string[]>;

function catalogue(language: string): Catalogue {
  const file = path.join(
    ROOT,
    'kpl_lab/locale',
    language,
    'LC_MESSAGES/kpl_lab.json'
  );
  const { '': head, ...messages } = JSON.parse(
    fs.readFileSync(file, 'utf8')
  ) as Catalogue & { '': { language: string } };
  expect(head).toMatchObject({
    domain: 'kpl_lab',
    // JupyterLab asks with an underscore and compares with a hyphen.
    language: language.replace('_', '-')
  });
  return messages;
}

describe('the Chinese catalogue', () => {
  const messages = catalogue('zh_CN');
  // Texts of the settings' schemas carry their context before an end-of-transmission.
  const plain = Object.keys(messages).filter(key => !key.includes('\u0004'));
  const forms = textsOf(path.join(ROOT, 'src'));
  const texts = [...forms.keys()];

  it('has every text of the code', () => {
    expect(texts.filter(text => !(text in messages))).toEqual([]);
  });

  it('has no text that the code lost', () => {
    expect(plain.filter(key => !texts.includes(key))).toEqual([]);
  });

  it('keeps the places of values', () => {
    const places = (text: string): string[] =>
      [...new Set(text.match(/%\d/g) ?? [])].sort();
    for (const key of plain) {
      expect([key, places(messages[key][0])]).toEqual([key, places(key)]);
    }
  });

  it('has as many forms of a text as JupyterLab looks for', () => {
    const wrong = plain.filter(key => messages[key].length !== forms.get(key));
    expect(wrong).toEqual([]);
  });

  it('leaves nothing empty', () => {
    expect(plain.filter(key => !messages[key][0]?.trim())).toEqual([]);
  });
});
