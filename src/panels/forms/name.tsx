import * as React from 'react';

import { TextField, fieldError } from '../../components/form';
import { useKpl } from '../../context';
import { nameProblem } from '../../names';
import type { PlatformError } from '../../request';

/**
 * The name of what a form makes.
 */
export interface IName {
  /**
   * As it is sent.
   */
  value: string;

  /**
   * What stops it from being sent; null for nothing.
   */
  missing: string | null;

  /**
   * The field.
   */
  field: {
    value: string;
    error: string | null;
    onChange: (to: string) => void;
  };
}

/**
 * Hold a name: a proposal until another one is typed.
 *
 * @param proposal What is offered, e.g. after the folder.
 * @param error Why the platform refused the last try.
 */
export function useName(proposal: string, error: PlatformError | null): IName {
  const { trans } = useKpl();
  const [chosen, onChange] = React.useState<string | null>(null);
  const typed = chosen ?? proposal;
  const problem = nameProblem(trans, typed);
  return {
    value: typed.trim(),
    missing: typed.trim() === '' ? trans.__('Give it a name.') : problem,
    field: {
      value: typed,
      error: problem ?? fieldError(error, 'name'),
      onChange
    }
  };
}

/**
 * Where the name is typed.
 */
export function NameField(props: { name: IName; hint?: string }): JSX.Element {
  const { trans } = useKpl();
  return (
    <TextField
      label={trans.__('Name')}
      hint={props.hint}
      {...props.name.field}
    />
  );
}
