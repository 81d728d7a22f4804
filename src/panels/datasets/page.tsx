import * as React from 'react';

import type { DatasetDetail, DatasetVersionView } from '../../api/types';
import {
  Button,
  Empty,
  Facts,
  Notice,
  StateChip,
  TimeAgo
} from '../../components/basic';
import { Page } from '../../components/page';
import { CommandIDs } from '../../commandids';
import type { IKplContext } from '../../context';
import { useKpl } from '../../context';
import { bytes } from '../../format';
import { said } from '../../said';
import { formatWords, purposeWords, visibilityWords } from '../../words';
import { useModel } from '../../hooks';
import { datasetIcon, mountIcon, unmountIcon } from '../../icons';
import { LastActions } from '../actions';
import type { IPageProps } from '../pages';
import { Records } from './records';
import { UseDataset } from './use';

/**
 * The page of a dataset.
 */
export function DatasetPage(props: IPageProps<DatasetDetail>): JSX.Element {
  const context = useKpl();
  const { trans } = context;
  const [number, setNumber] = React.useState<number | null>(null);
  return (
    <Page
      icon={datasetIcon}
      {...props}
      parts={dataset => {
        const version = Private.chosen(dataset, number);
        return {
          facts: (
            <Head dataset={dataset} version={version} onVersion={setNumber} />
          ),
          actions: <Actions dataset={dataset} />,
          notice: Private.notice(context, dataset, version, () =>
            props.onTab('about')
          ),
          tabs: [
            {
              id: 'records',
              label: trans.__('Records'),
              fills: true,
              content: () =>
                version?.state === 'ready' ? (
                  <Records
                    key={version.number}
                    dataset={dataset}
                    version={version}
                  />
                ) : (
                  <Empty text={trans.__('No version is ready yet.')} />
                )
            },
            {
              id: 'versions',
              label: trans.__('Versions'),
              content: () => (
                <Versions
                  dataset={dataset}
                  onChoose={chosen => {
                    setNumber(chosen);
                    props.onTab('records');
                  }}
                />
              )
            },
            {
              id: 'use',
              label: trans.__('Use it'),
              content: () => <UseDataset dataset={dataset} version={version} />
            },
            {
              id: 'about',
              label: trans.__('About'),
              content: () => <About dataset={dataset} version={version} />
            }
          ]
        };
      }}
    />
  );
}

/**
 * State, the version shown, size and age.
 */
function Head(props: {
  dataset: DatasetDetail;
  version: DatasetVersionView | null;
  onVersion: (number: number) => void;
}): JSX.Element {
  const { trans } = useKpl();
  const { dataset, version, onVersion } = props;
  return (
    <>
      <StateChip state={dataset.state} kind="datasets" />
      {dataset.versions.length > 1 && version && (
        <select
          className="kpl-Select"
          aria-label={trans.__('Version')}
          value={version.number}
          onChange={event => onVersion(Number(event.target.value))}
        >
          {dataset.versions.map(({ number }) => (
            <option key={number} value={number}>
              {`v${number}`}
            </option>
          ))}
        </select>
      )}
      {dataset.versions.length === 1 && <span>{`v${version?.number}`}</span>}
      {version?.records !== null && version?.records !== undefined && (
        <span>{trans._n('%1 record', '%1 records', version.records)}</span>
      )}
      {version?.bytes !== null && <span>{bytes(version?.bytes)}</span>}
      <span>
        <TimeAgo time={dataset.created_at} />
      </span>
      <span>{dataset.owner}</span>
    </>
  );
}

/**
 * Mount or unmount, start a task, copy the link.
 */
function Actions(props: { dataset: DatasetDetail }): JSX.Element {
  const { client, commands, trans } = useKpl();
  const { dataset } = props;
  useModel(client.place);
  React.useEffect(() => {
    const activity = client.place.activate();
    return () => activity.dispose();
  }, [client]);
  const mount = client.place.mountOf(dataset.id);
  const args = { kind: 'datasets', id: dataset.id, name: dataset.name };
  const isReady = dataset.state === 'ready';
  return (
    <>
      <Button
        look={mount ? 'plain' : 'accept'}
        icon={mount ? unmountIcon : mountIcon}
        disabled={!isReady}
        onClick={() =>
          void commands.execute(
            mount ? CommandIDs.unmountDataset : CommandIDs.mountDataset,
            args
          )
        }
      >
        {mount ? trans.__('Unmount') : trans.__('Mount')}
      </Button>
      <Button
        disabled={!isReady}
        onClick={() =>
          void commands.execute(CommandIDs.insertDatasetCode, args)
        }
      >
        {trans.__('Insert code')}
      </Button>
      <LastActions args={args} />
    </>
  );
}

/**
 * All versions; each can be looked at and downloaded.
 */
function Versions(props: {
  dataset: DatasetDetail;
  onChoose: (number: number) => void;
}): JSX.Element {
  const { client, trans, workbench } = useKpl();
  const { dataset, onChoose } = props;
  return (
    <table className="kpl-Table">
      <thead>
        <tr>
          <th>{trans.__('Version')}</th>
          <th>{trans.__('State')}</th>
          <th className="kpl-mod-number">{trans.__('Records')}</th>
          <th className="kpl-mod-number">{trans.__('Size')}</th>
          <th>{trans.__('From')}</th>
          <th>{trans.__('Made')}</th>
          <th />
        </tr>
      </thead>
      <tbody>
        {dataset.versions.map(version => (
          <tr key={version.number}>
            <td>
              <Button look="link" onClick={() => onChoose(version.number)}>
                {`v${version.number}`}
              </Button>
            </td>
            <td>
              <StateChip state={version.state} />
              {version.message && (
                <div className="kpl-quiet">{said(trans, version.message)}</div>
              )}
            </td>
            <td className="kpl-mod-number">{version.records ?? '–'}</td>
            <td className="kpl-mod-number">{bytes(version.bytes)}</td>
            <td>
              {version.task_id !== null ? (
                <Button
                  look="link"
                  onClick={() =>
                    workbench.openDetail('tasks', version.task_id as number)
                  }
                >
                  {trans.__('task %1', version.task_id)}
                </Button>
              ) : (
                version.source
              )}
            </td>
            <td>
              <TimeAgo time={version.created_at} />
            </td>
            <td>
              {version.state === 'ready' && (
                <a
                  className="kpl-Link"
                  href={client.datasets.downloadUrl(dataset.id, version.number)}
                  download
                >
                  {trans.__('Download')}
                </a>
              )}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/**
 * Purpose, fields and what the import left out.
 */
function About(props: {
  dataset: DatasetDetail;
  version: DatasetVersionView | null;
}): JSX.Element {
  const { trans } = useKpl();
  const { dataset, version } = props;
  return (
    <>
      {dataset.description && <p>{dataset.description}</p>}
      <Facts
        items={[
          [trans.__('Purpose'), purposeWords(trans, dataset.purpose)],
          [
            trans.__('Format'),
            formatWords(trans, version?.format ?? dataset.format)
          ],
          [trans.__('Imported from'), version?.source ?? null],
          [trans.__('Visible to'), visibilityWords(trans, dataset.visibility)],
          [trans.__('Owner'), dataset.owner],
          [trans.__('Id'), dataset.id]
        ]}
      />
      <h2>{trans.__('Fields')}</h2>
      <table className="kpl-Table">
        <tbody>
          {(version?.fields ?? []).map(field => (
            <tr key={field.name}>
              <th scope="row">{field.name}</th>
              <td>{field.type}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {version && version.skipped.length > 0 && (
        <>
          <h2>{trans.__('Left out of the import')}</h2>
          <ul>
            {version.skipped.map(text => (
              <li key={text}>{text}</li>
            ))}
          </ul>
        </>
      )}
    </>
  );
}

/**
 * A namespace for private helpers.
 */
namespace Private {
  /**
   * The version that was chosen, else the newest that is ready, else the newest.
   */
  export function chosen(
    dataset: DatasetDetail,
    number: number | null
  ): DatasetVersionView | null {
    const { versions } = dataset;
    return (
      versions.find(version => version.number === number) ??
      versions.find(version => version.number === dataset.version) ??
      versions[0] ??
      null
    );
  }

  export function notice(
    { trans }: IKplContext,
    dataset: DatasetDetail,
    version: DatasetVersionView | null,
    onAbout: () => void
  ): React.ReactNode {
    const message = version?.message ?? dataset.message;
    if (version?.state === 'failed' && message) {
      return (
        <Notice tone="bad" title={trans.__('The import failed.')}>
          {said(trans, message)}
        </Notice>
      );
    }
    const left = version?.skipped ?? [];
    return left.length > 0 ? (
      <Notice tone="warn">
        {trans.__('Left out of the import: %1', left[0])}{' '}
        {left.length > 1 && (
          <Button look="link" onClick={onAbout}>
            {trans._n('and %1 more', 'and %1 more', left.length - 1)}
          </Button>
        )}
      </Notice>
    ) : null;
  }
}
