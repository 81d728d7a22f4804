import type { IMessage } from '../parser';
import { EventParser } from '../parser';

function parse(...chunks: string[]): IMessage[] {
  const messages: IMessage[] = [];
  const parser = new EventParser(message => messages.push(message));
  chunks.forEach(chunk => parser.push(chunk));
  return messages;
}

describe('EventParser', () => {
  const stream =
    ': hello\n\nid: 7\nevent: event\ndata: {"a":1}\n\nevent: log\ndata: one\ndata: two\n\n';
  const expected = [
    { event: 'event', data: '{"a":1}', id: '7' },
    { event: 'log', data: 'one\ntwo', id: null }
  ];

  it('reads events, data of several lines, and leaves comments out', () => {
    expect(parse(stream)).toEqual(expected);
  });

  it('reads the same wherever the chunks are cut', () => {
    for (let at = 0; at <= stream.length; at++) {
      expect(parse(stream.slice(0, at), stream.slice(at))).toEqual(expected);
    }
  });

  it('takes all three ends of lines, also cut in the middle', () => {
    const crlf = stream.replace(/\n/g, '\r\n');
    const whole = [{ event: 'message', data: 'x', id: null }];
    expect(parse(...crlf)).toEqual(expected);
    expect(parse('data: x\r\r', '\n')).toEqual(whole);
  });

  it('says nothing for an event without data', () => {
    expect(parse('event: event\n\n')).toEqual([]);
  });

  it('keeps an unfinished message back', () => {
    expect(parse('data: half')).toEqual([]);
  });
});
