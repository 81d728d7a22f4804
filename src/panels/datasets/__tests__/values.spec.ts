import type { RecordView } from '../../../api/types';
import { asBlob, boxes, caption, pictureField, shortValue } from '../values';

const record: RecordView = {
  index: 4,
  values: {
    path: 'images/fruit 4.png',
    content: { kind: 'image', size: 2048 },
    object: [
      { name: '苹果', xmin: 1, ymin: 2, xmax: 30, ymax: 40, score: 0.9 },
      { name: '苹果', xmin: 5, ymin: 6, xmax: 7, ymax: 8 }
    ]
  }
};

describe('values of records', () => {
  it('know pictures and other bytes', () => {
    expect(pictureField(record)).toBe('content');
    expect(asBlob({ kind: 'bytes', size: 3 })).not.toBeNull();
    expect(asBlob({ kind: 'cat' })).toBeNull();
    expect(pictureField(undefined)).toBeNull();
  });

  it('know boxes', () => {
    expect(boxes(record)).toHaveLength(2);
    expect(boxes({ index: 0, values: { list: [1, 2] } })).toEqual([]);
  });

  it('have a caption: the class, else the boxes, else the file', () => {
    expect(caption(record)).toBe('苹果');
    expect(caption({ index: 0, values: { class_name: 7 } })).toBe('7');
    expect(caption({ index: 0, values: { path: 'a/b.png' } })).toBe('b.png');
    expect(caption({ index: 3, values: {} })).toBe('#3');
  });

  it('are one short line', () => {
    expect(shortValue(record.values.content)).toBe('2 KiB');
    expect(shortValue('x'.repeat(500))).toHaveLength(120);
    expect(shortValue(null)).toBe('');
  });
});
