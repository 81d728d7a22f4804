import * as React from 'react';

import type { DatasetDetail, DatasetVersionView } from '../../api/types';
import { Button, CopyBlock, Notice } from '../../components/basic';
import { CommandIDs } from '../../commandids';
import { useKpl } from '../../context';
import { useModel } from '../../hooks';
import { said } from '../../said';
import { datasetCode, mountPath, quoted } from '../../snippets';

/**
 * The ways from a dataset to code that reads it.
 */
export function UseDataset(props: {
  dataset: DatasetDetail;
  version: DatasetVersionView | null;
}): JSX.Element {
  const { client, commands, trans, workbench } = useKpl();
  const { dataset, version } = props;
  useModel(client.place);
  const mount = client.place.mountOf(dataset.id);
  const word = quoted(dataset.name);
  const isPicture = (version?.fields ?? []).some(
    field => field.name === 'contentType'
  );
  const args = { kind: 'datasets', id: dataset.id, name: dataset.name };
  return (
    <div className="kpl-Narrow">
      <h2>{trans.__('In this notebook server')}</h2>
      {mount ? (
        <p>
          {trans.__(
            'Version %1 is in the file browser at %2, read-only.',
            mount.version,
            `~/${mount.path}`
          )}
        </p>
      ) : (
        <p>
          {trans.__(
            'Mount it to see it in the file browser at once, without a restart and without a copy.'
          )}
        </p>
      )}
      {mount && !mount.enforced && (
        <Notice tone="warn">
          {trans.__(
            'Read-only holds by file permissions alone on this machine.'
          )}
        </Notice>
      )}
      {mount?.message && mount.state !== 'failed' && (
        <p>{said(trans, mount.message)}</p>
      )}
      {mount?.state === 'failed' && (
        <Notice tone="bad" title={trans.__('It could not be mounted.')}>
          {said(trans, mount.message)}
        </Notice>
      )}
      <p>
        <Button
          look={mount ? 'plain' : 'accept'}
          onClick={() =>
            void commands.execute(
              mount ? CommandIDs.unmountDataset : CommandIDs.mountDataset,
              args
            )
          }
        >
          {mount ? trans.__('Unmount') : trans.__('Mount')}
        </Button>{' '}
        <Button
          onClick={() =>
            void commands.execute(CommandIDs.insertDatasetCode, args)
          }
        >
          {trans.__('Insert code into the current cell')}
        </Button>
      </p>
      <CopyBlock
        label={trans.__('Python')}
        text={datasetCode(mountPath(dataset.name, mount), isPicture)}
      />
      <h2>{trans.__('In a task')}</h2>
      <p>
        <Button
          onClick={() => workbench.openForm('task', { dataset: dataset.name })}
        >
          {trans.__('New task with this dataset…')}
        </Button>
      </p>
      <h2>{trans.__('In a terminal')}</h2>
      <CopyBlock
        label={trans.__('Shell')}
        text={`kpl dataset mount ${word}\nkpl dataset download ${word}`}
      />
    </div>
  );
}
