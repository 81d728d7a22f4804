import * as React from 'react';

import { Notice } from '../../components/basic';
import { useKpl } from '../../context';
import { useModel } from '../../hooks';
import { said } from '../../said';

/**
 * Why the administrator's catalog file cannot be used, for as long as that is so.
 */
export function CatalogNotice(): JSX.Element | null {
  const { client, trans } = useKpl();
  useModel(client.catalog);
  const { file, problem } = client.catalog.value ?? {};
  if (!problem) {
    return null;
  }
  return (
    <Notice
      tone="warn"
      title={trans.__('The catalog file %1 cannot be used', file)}
    >
      <p className="kpl-Notice-problem" title={problem}>
        {said(trans, problem)}
      </p>
      <p>
        {trans.__(
          'The last good one stays in use until an administrator corrects the file.'
        )}
      </p>
    </Notice>
  );
}
