import { render, screen } from '@testing-library/react';
import * as React from 'react';

import { Within, makeContext } from '../../../components/__tests__/context';
import { Answer } from '../answer';

const { context } = makeContext({});

function show(body: unknown): void {
  const answer = {
    status: 200,
    type: 'application/json',
    text: JSON.stringify(body),
    milliseconds: 12
  };
  render(
    <Within context={context}>
      <Answer answer={answer} picture={null} />
    </Within>
  );
}

describe('an answer', () => {
  it('is drawn where its shape is known', () => {
    show({ type: 'classification', class_id: 7, class_name: 'seven' });
    expect(screen.getByText('seven')).toBeTruthy();
  });

  it('with an error is the error alone, as it came in a fold', () => {
    show({ type: 'classification', class_id: -1, error: 'No picture.' });
    expect(screen.getByText('No picture.')).toBeTruthy();
    expect(screen.queryByText('Class')).toBeNull();
    const raw = screen.getByText(/"class_id": -1/);
    expect(raw.closest('details')?.open).toBe(false);
  });
});
