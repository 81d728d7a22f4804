import * as React from 'react';

import type { FolderForm } from '../../api/local';
import type { FormDescription } from '../../api/types';
import { Notice } from '../../components/basic';
import { useKpl } from '../../context';

/**
 * How many of the names that are left out are shown.
 */
const SHOWN = 5;

/**
 * What to know of a code folder before it is sent: what its YAML files say that nobody understands,
 * and what is left out of it.
 */
export function FolderNotices(props: {
  form: FormDescription | FolderForm;
}): JSX.Element {
  const { trans } = useKpl();
  const { form } = props;
  const left = 'left_out' in form ? form.left_out : [];
  const names = left.slice(0, SHOWN).join(', ');
  return (
    <>
      {form.warnings.map(text => (
        <Notice key={text} tone="warn">
          {text}
        </Notice>
      ))}
      {left.length > 0 && (
        <Notice tone="info">
          {left.length > SHOWN
            ? trans.__(
                'Not sent, because .kplignore names it: %1 and %2 more.',
                names,
                left.length - SHOWN
              )
            : trans.__('Not sent, because .kplignore names it: %1.', names)}
        </Notice>
      )}
    </>
  );
}
