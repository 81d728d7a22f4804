import { linkIcon } from '@jupyterlab/ui-components';
import type { ReadonlyPartialJSONObject } from '@lumino/coreutils';
import * as React from 'react';

import { CommandIDs } from '../commandids';
import { Button, IconButton } from '../components/basic';
import { useKpl } from '../context';

/**
 * What the header of every page ends with: delete, and the link for a colleague.
 *
 * `args` are those of the commands; what still runs cannot be deleted.
 */
export function LastActions(props: {
  args: ReadonlyPartialJSONObject;
  canDelete?: boolean;
}): JSX.Element {
  const { commands, trans } = useKpl();
  const { args, canDelete = true } = props;
  return (
    <>
      {canDelete && (
        <Button
          onClick={() => void commands.execute(CommandIDs.deleteResource, args)}
        >
          {trans.__('Delete…')}
        </Button>
      )}
      <IconButton
        icon={linkIcon}
        label={trans.__('Copy link')}
        onClick={() => void commands.execute(CommandIDs.copyLink, args)}
      />
    </>
  );
}
