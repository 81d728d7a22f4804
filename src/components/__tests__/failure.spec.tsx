import { render, screen } from '@testing-library/react';
import * as React from 'react';

import { FailureNotice } from '../failure';
import { Within, makeContext } from './context';

const { context } = makeContext({});

const TITLE = 'The task failed.';

function shown(notice: JSX.Element): string {
  render(<Within context={context}>{notice}</Within>);
  return document.body.textContent ?? '';
}

describe('a failure', () => {
  it('says cause, what to do, who can, and how long it takes, each once', () => {
    const text = shown(
      <FailureNotice
        tone="bad"
        title={TITLE}
        message="The disk was full. Ask for room."
        remedy={{
          code: 'no_space',
          cause: 'The disk was full.',
          who: 'admin',
          action: 'Ask for room.',
          usual_duration: 'hours or days'
        }}
      />
    );
    expect(text.match(/The disk was full\./g)).toHaveLength(1);
    for (const words of [
      'What to do: Ask for room.',
      'Who can mend it: an administrator',
      'Usually takes: hours or days'
    ]) {
      expect(text).toContain(words);
    }
    expect(text).not.toContain(TITLE);
  });

  it('of which no cause is known says what there is', () => {
    const text = shown(
      <FailureNotice tone="bad" title={TITLE} message="Gone." />
    );
    expect(text).toContain(TITLE);
    expect(text).toContain('Gone.');
    expect(screen.queryByText('What to do:')).toBeNull();
  });
});
