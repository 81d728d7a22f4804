import type { MountView } from './api/types';

/**
 * The folder in which a dataset's files are, or will be once it is mounted.
 */
export function mountPath(name: string, mount?: MountView): string {
  return mount?.path ?? `datasets/${name}`;
}

/**
 * Python that reads a dataset in a notebook; the same lines run in a task.
 *
 * @param path The mounted folder, relative to the home.
 * @param isPicture Whether records hold pictures.
 */
export function datasetCode(path: string, isPicture: boolean): string {
  const last = isPicture
    ? [
        'from IPython.display import Image, display',
        '',
        'display(Image(data=reader[0]["content"]))'
      ]
    : ['print(reader[0])'];
  return [
    'from pathlib import Path',
    '',
    'from kpl_dataset import ReadOnlyDataset',
    'from kpl_helper import io',
    '',
    `data = io.get_input_path("data", str(Path.home() / ${literal(path)}))`,
    'reader = ReadOnlyDataset(data)',
    'print(len(reader), "records:", reader.record_type)',
    '',
    ...last
  ].join('\n');
}

/**
 * A text as a Python literal.
 */
export function literal(text: string): string {
  return JSON.stringify(text);
}

/**
 * A JSON value as a Python literal.
 */
export function pythonValue(value: unknown): string {
  if (value === null || value === undefined) {
    return 'None';
  }
  if (typeof value === 'boolean') {
    return value ? 'True' : 'False';
  }
  if (Array.isArray(value)) {
    return `[${value.map(pythonValue).join(', ')}]`;
  }
  if (typeof value === 'object') {
    const pairs = Object.entries(value).map(
      ([key, item]) => `${literal(key)}: ${pythonValue(item)}`
    );
    return `{${pairs.join(', ')}}`;
  }
  return JSON.stringify(value);
}

/**
 * A word as a shell takes it.
 */
export function quoted(word: string): string {
  return /^[\p{L}\p{N}_@%+=:,./-]+$/u.test(word)
    ? word
    : `'${word.replace(/'/g, "'\\''")}'`;
}
