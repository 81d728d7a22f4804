import type { RecordView } from '../../api/types';
import { bytes, measured } from '../../format';

/**
 * What stands for bytes in a record.
 */
export interface IBlob {
  kind: 'bytes' | 'image';
  size: number;

  /**
   * The size of a picture in pixels, where the platform knows it.
   */
  width?: number;
  height?: number;
}

/**
 * A labelled box, in pixels of the picture.
 */
export interface IBox {
  name: string;
  xmin: number;
  ymin: number;
  xmax: number;
  ymax: number;
  score?: number;
}

/**
 * A value as bytes; null where it is something else.
 */
export function asBlob(value: unknown): IBlob | null {
  if (typeof value !== 'object' || value === null || !('kind' in value)) {
    return null;
  }
  const blob = value as IBlob;
  return blob.kind === 'image' || blob.kind === 'bytes' ? blob : null;
}

/**
 * The first field of a record that is a picture.
 */
export function pictureField(record: RecordView | undefined): string | null {
  const entries = Object.entries(record?.values ?? {});
  const found = entries.find(([, value]) => asBlob(value)?.kind === 'image');
  return found ? found[0] : null;
}

/**
 * The boxes of a record: a list of mappings with name and corners.
 */
export function boxes(record: RecordView): IBox[] {
  for (const value of Object.values(record.values)) {
    if (Array.isArray(value) && value.length > 0 && value.every(isBox)) {
      return value as IBox[];
    }
  }
  return [];
}

/**
 * What stands under a picture: its class, the names of its boxes, or its file.
 */
export function caption(record: RecordView): string {
  const { class_name: className, path } = record.values;
  if (className !== undefined && className !== null && className !== '') {
    return String(className);
  }
  const names = new Set(boxes(record).map(box => box.name));
  if (names.size > 0) {
    return [...names].join(', ');
  }
  return typeof path === 'string'
    ? (path.split('/').pop() ?? path)
    : `#${record.index}`;
}

/**
 * A value in one line.
 */
export function shortValue(value: unknown): string {
  const blob = asBlob(value);
  if (blob) {
    return bytes(blob.size);
  }
  if (value === null || value === undefined) {
    return '';
  }
  if (typeof value === 'number') {
    return measured(value);
  }
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return text.length > 120 ? `${text.slice(0, 119)}…` : text;
}

function isBox(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) {
    return false;
  }
  const box = value as Record<string, unknown>;
  return ['xmin', 'ymin', 'xmax', 'ymax'].every(
    key => typeof box[key] === 'number'
  );
}
