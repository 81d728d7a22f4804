import * as React from 'react';

import { useKpl } from '../context';
import { Field } from './form';

/**
 * Several `KEY=VALUE`, one a line.
 */
export function PairsField(props: {
  label: string;
  value: string;
  error?: string | null;
  onChange: (value: string) => void;
}): JSX.Element {
  const { trans } = useKpl();
  const { label, value, error, onChange } = props;
  return (
    <Field label={label} hint={trans.__('one KEY=VALUE a line')} error={error}>
      {(id, note) => (
        <textarea
          id={id}
          className="jp-mod-styled"
          rows={3}
          value={value}
          aria-describedby={note}
          aria-invalid={Boolean(error)}
          onChange={event => onChange(event.target.value)}
        />
      )}
    </Field>
  );
}
