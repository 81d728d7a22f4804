import * as fs from 'fs';
import * as path from 'path';
import * as ts from 'typescript';

/**
 * Every text of the front end, as the catalogue's keys, and how many forms it needs: one
 * for calls of `trans.__`, two for calls of `trans._n`.
 */
export function textsOf(folder: string): Map<string, number> {
  const texts = new Map<string, number>();
  for (const file of sources(folder)) {
    const source = ts.createSourceFile(
      file,
      fs.readFileSync(file, 'utf8'),
      ts.ScriptTarget.ES2022,
      true
    );
    const visit = (node: ts.Node): void => {
      if (ts.isCallExpression(node) && formsOf(node) > 0) {
        const [text] = node.arguments;
        if (text && ts.isStringLiteralLike(text)) {
          texts.set(text.text, formsOf(node));
        }
      }
      ts.forEachChild(node, visit);
    };
    visit(source);
  }
  return texts;
}

function formsOf(call: ts.CallExpression): number {
  if (!ts.isPropertyAccessExpression(call.expression)) {
    return 0;
  }
  return { __: 1, _n: 2 }[call.expression.name.text] ?? 0;
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
