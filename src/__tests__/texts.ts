import * as fs from 'fs';
import * as path from 'path';
import * as ts from 'typescript';

/**
 * Every text of the front end, as the catalogue's keys: calls of `trans.__` and `trans._n`.
 */
export function textsOf(folder: string): Set<string> {
  const texts = new Set<string>();
  for (const file of sources(folder)) {
    const source = ts.createSourceFile(
      file,
      fs.readFileSync(file, 'utf8'),
      ts.ScriptTarget.ES2022,
      true
    );
    const visit = (node: ts.Node): void => {
      if (ts.isCallExpression(node) && isTranslation(node)) {
        const [text] = node.arguments;
        if (text && ts.isStringLiteralLike(text)) {
          texts.add(text.text);
        }
      }
      ts.forEachChild(node, visit);
    };
    visit(source);
  }
  return texts;
}

function isTranslation(call: ts.CallExpression): boolean {
  return (
    ts.isPropertyAccessExpression(call.expression) &&
    ['__', '_n'].includes(call.expression.name.text)
  );
}

function sources(folder: string): string[] {
  return fs.readdirSync(folder, { withFileTypes: true }).flatMap(entry => {
    const place = path.join(folder, entry.name);
    if (entry.isDirectory()) {
      return entry.name === '__tests__' ? [] : sources(place);
    }
    return /\.tsx?$/.test(entry.name) ? [place] : [];
  });
}
