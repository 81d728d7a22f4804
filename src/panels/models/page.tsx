import * as React from 'react';

import type { ModelDetail, ModelVersionView } from '../../api/types';
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
import { useKpl } from '../../context';
import { bytes, measured } from '../../format';
import { said } from '../../said';
import { visibilityWords } from '../../words';
import { modelIcon } from '../../icons';
import { LastActions } from '../actions';
import type { IPageProps } from '../pages';
import { ParameterTable } from '../tasks/page';
import { Lineage } from './lineage';

/**
 * The page of a model.
 */
export function ModelPage(props: IPageProps<ModelDetail>): JSX.Element {
  const { trans } = useKpl();
  const [number, setNumber] = React.useState<number | null>(null);
  return (
    <Page
      icon={modelIcon}
      {...props}
      parts={model => {
        const version =
          model.versions.find(item => item.number === number) ??
          model.versions[0] ??
          null;
        return {
          facts: (
            <>
              <StateChip state={model.state} kind="models" />
              {version && <span>{`v${version.number}`}</span>}
              {version && <span>{bytes(version.bytes)}</span>}
              <span>
                <TimeAgo time={model.created_at} />
              </span>
              <span>{model.owner}</span>
            </>
          ),
          actions: <Actions model={model} version={version} />,
          notice:
            version?.state === 'failed' && version.message ? (
              <Notice tone="bad">{said(trans, version.message)}</Notice>
            ) : null,
          tabs: [
            {
              id: 'versions',
              label: trans.__('Versions'),
              content: () => (
                <Versions model={model} chosen={version} onChoose={setNumber} />
              )
            },
            {
              id: 'lineage',
              label: trans.__('Lineage'),
              content: () =>
                version ? (
                  <Lineage model={model} version={version} />
                ) : (
                  <Empty text={trans.__('No version is ready yet.')} />
                )
            },
            {
              id: 'files',
              label: trans.__('Files'),
              content: () => <Files version={version} />
            },
            {
              id: 'about',
              label: trans.__('About'),
              content: () => <About model={model} version={version} />
            }
          ]
        };
      }}
    />
  );
}

/**
 * Deploy, download, delete, copy the link.
 */
function Actions(props: {
  model: ModelDetail;
  version: ModelVersionView | null;
}): JSX.Element {
  const { client, commands, trans } = useKpl();
  const { model, version } = props;
  const args = { kind: 'models', id: model.id, name: model.name };
  return (
    <>
      <Button
        look="accept"
        disabled={version?.state !== 'ready'}
        onClick={() =>
          void commands.execute(CommandIDs.deployService, {
            ...args,
            version: version?.number ?? null
          })
        }
      >
        {trans.__('Deploy…')}
      </Button>
      {version?.state === 'ready' && (
        <a
          className="jp-mod-styled jp-mod-reject kpl-Button"
          href={client.models.downloadUrl(model.id, version.number)}
          download
        >
          {trans.__('Download')}
        </a>
      )}
      <LastActions args={args} />
    </>
  );
}

/**
 * All versions side by side, with their results to compare.
 */
function Versions(props: {
  model: ModelDetail;
  chosen: ModelVersionView | null;
  onChoose: (number: number) => void;
}): JSX.Element {
  const { trans, workbench } = useKpl();
  const { model, chosen, onChoose } = props;
  const names = [
    ...new Set(model.versions.flatMap(item => Object.keys(item.metrics)))
  ].slice(0, 8);
  return (
    <table className="kpl-Table">
      <thead>
        <tr>
          <th>{trans.__('Version')}</th>
          <th>{trans.__('State')}</th>
          {names.map(name => (
            <th key={name} className="kpl-mod-number">
              {name}
            </th>
          ))}
          <th className="kpl-mod-number">{trans.__('Size')}</th>
          <th>{trans.__('From')}</th>
          <th>{trans.__('Made')}</th>
        </tr>
      </thead>
      <tbody>
        {model.versions.map(version => (
          <tr key={version.number} aria-selected={version === chosen}>
            <td>
              <Button look="link" onClick={() => onChoose(version.number)}>
                {`v${version.number}`}
              </Button>
            </td>
            <td>
              <StateChip state={version.state} />
            </td>
            {names.map(name => (
              <td key={name} className="kpl-mod-number">
                {name in version.metrics ? measured(version.metrics[name]) : ''}
              </td>
            ))}
            <td className="kpl-mod-number">{bytes(version.bytes)}</td>
            <td>
              {version.task_id !== null && (
                <Button
                  look="link"
                  onClick={() =>
                    workbench.openDetail('tasks', version.task_id as number)
                  }
                >
                  {trans.__('task %1', version.task_id)}
                </Button>
              )}
            </td>
            <td>
              <TimeAgo time={version.created_at} />
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/**
 * The files of a version.
 */
function Files(props: { version: ModelVersionView | null }): JSX.Element {
  const { trans } = useKpl();
  const files = props.version?.files ?? [];
  if (files.length === 0) {
    return <Empty text={trans.__('No files.')} />;
  }
  return (
    <table className="kpl-Table">
      <tbody>
        {files.map(file => (
          <tr key={file.path}>
            <td>
              <code>{file.path}</code>
            </td>
            <td className="kpl-mod-number">{bytes(file.bytes)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/**
 * Description, parameters and who sees it.
 */
function About(props: {
  model: ModelDetail;
  version: ModelVersionView | null;
}): JSX.Element {
  const { trans } = useKpl();
  const { model, version } = props;
  return (
    <>
      {model.description && <p>{model.description}</p>}
      <Facts
        items={[
          [trans.__('Visible to'), visibilityWords(trans, model.visibility)],
          [trans.__('Owner'), model.owner],
          [trans.__('Id'), model.id]
        ]}
      />
      <h2>{trans.__('Parameters')}</h2>
      <ParameterTable values={version?.parameters ?? {}} />
    </>
  );
}
