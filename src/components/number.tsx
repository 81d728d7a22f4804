import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { useKpl } from '../context';
import { trimmed } from '../format';
import { Field } from './form';

/**
 * What a number may be.
 */
export interface IBounds {
  min?: number;
  max?: number;

  /**
   * Between two; whole numbers alone by default.
   */
  step?: number;
}

/**
 * What is wrong with a number; null for nothing, and for a field that was left empty.
 */
export function numberProblem(
  trans: TranslationBundle,
  value: number | null,
  { min = 0, max = Infinity, step = 1 }: IBounds = {}
): string | null {
  if (value === null) {
    return null;
  }
  if (Number.isNaN(value)) {
    return trans.__('Write a number.');
  }
  if (Number.isInteger(step) && !Number.isInteger(value)) {
    return trans.__('Write a whole number.');
  }
  return value < min
    ? trans.__('Write at least %1.', trimmed(min, 1))
    : value > max
      ? trans.__('Write at most %1.', trimmed(max, 1))
      : null;
}

/**
 * A number; empty stands for the default, and NaN for what is none.
 */
export function NumberField(
  props: IBounds & {
    label: string;
    value: number | null;
    onChange: (value: number | null) => void;
    hint?: string;
    placeholder?: string;
    error?: string | null;
  }
): JSX.Element {
  const { trans } = useKpl();
  const { label, hint, value, onChange, min = 0, max, step = 1 } = props;
  const error = numberProblem(trans, value, { min, max, step }) ?? props.error;
  return (
    <Field label={label} hint={hint} error={error}>
      {(id, note) => (
        <input
          id={id}
          className="jp-mod-styled"
          type="number"
          // Where halves are counted they are counted from nothing, not from the least.
          min={Number.isInteger(step) ? min : undefined}
          max={max}
          step={step}
          value={value === null || Number.isNaN(value) ? '' : value}
          placeholder={props.placeholder}
          aria-describedby={note}
          aria-invalid={Boolean(error)}
          onChange={({ target }) =>
            onChange(
              target.validity.badInput
                ? NaN
                : target.value === ''
                  ? null
                  : Number(target.value)
            )
          }
        />
      )}
    </Field>
  );
}
