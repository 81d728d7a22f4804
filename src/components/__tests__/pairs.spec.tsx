import { nullTranslator } from '@jupyterlab/translation';
import { render, screen } from '@testing-library/react';
import * as React from 'react';

import { pairsOf, pairsProblem } from '../../pairs';
import { PairsField } from '../pairs';
import { Within, makeContext } from './context';

const trans = nullTranslator.load('kpl_lab');

describe('KEY=VALUE lines', () => {
  it('keep equals signs and spaces in the values', () => {
    expect(pairsOf('  KEY=a=b=c  \n\nB=')).toEqual({ KEY: 'a=b=c  ', B: '' });
  });

  it('are told when they are none', () => {
    expect(pairsProblem(trans, 'A=1\nhello')).toBe('“hello” is not KEY=VALUE.');
    expect(pairsProblem(trans, '\nA=1\n')).toBeNull();
  });

  it('have the names of variables, unless they are arguments', () => {
    expect(pairsProblem(trans, 'my-key=1')).toMatch('my-key=1');
    expect(pairsProblem(trans, 'my-key=1', 'arguments')).toBeNull();
  });

  it('say at the field what is wrong', () => {
    render(
      <Within context={makeContext({}).context}>
        <PairsField
          label={trans.__('Variables')}
          value="hello"
          error={pairsProblem(trans, 'hello')}
          onChange={() => undefined}
        />
      </Within>
    );
    expect(screen.getByRole('alert').textContent).toMatch('is not KEY=VALUE');
    expect(
      screen.getByLabelText('Variables').getAttribute('aria-invalid')
    ).toBe('true');
  });
});
