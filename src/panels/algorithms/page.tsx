import { runIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import type { AlgorithmDetail, AlgorithmVersionView } from '../../api/types';
import {
  Button,
  Empty,
  Notice,
  StateChip,
  TimeAgo
} from '../../components/basic';
import { CodeBrowser } from '../../components/code';
import { LogView } from '../../components/logview';
import { Markdown } from '../../components/markdown';
import type { IPageParts } from '../../components/page';
import { Page } from '../../components/page';
import { CommandIDs } from '../../commandids';
import type { IKplContext } from '../../context';
import { useKpl } from '../../context';
import { useLog } from '../../hooks/log';
import { algorithmIcon, serviceIcon } from '../../icons';
import { said } from '../../said';
import { LastActions } from '../actions';
import type { IPageProps } from '../pages';
import { Functions } from './functions';

/**
 * The page of an algorithm.
 */
export function AlgorithmPage(props: IPageProps<AlgorithmDetail>): JSX.Element {
  const context = useKpl();
  return (
    <Page
      icon={algorithmIcon}
      {...props}
      parts={algorithm => Private.parts(context, algorithm)}
    />
  );
}

/**
 * Start a task, deploy, delete, copy the link.
 */
function Actions(props: { algorithm: AlgorithmDetail }): JSX.Element {
  const { commands, trans, workbench } = useKpl();
  const { algorithm } = props;
  const args = {
    kind: 'algorithms',
    id: algorithm.id,
    name: algorithm.name
  };
  const functions = new Set(algorithm.functions);
  return (
    <>
      <Button
        look="accept"
        icon={runIcon}
        disabled={algorithm.version === null}
        onClick={() => void commands.execute(CommandIDs.newTask, args)}
      >
        {trans.__('New task…')}
      </Button>
      {functions.has('deploy') && (
        <Button
          icon={serviceIcon}
          onClick={() =>
            workbench.openForm('service', { algorithm: algorithm.name })
          }
        >
          {trans.__('Deploy…')}
        </Button>
      )}
      <LastActions args={args} />
    </>
  );
}

/**
 * All versions and how their checks and builds ended.
 */
function Versions(props: { algorithm: AlgorithmDetail }): JSX.Element {
  const { trans } = useKpl();
  return (
    <table className="kpl-Table">
      <thead>
        <tr>
          <th>{trans.__('Version')}</th>
          <th>{trans.__('State')}</th>
          <th>{trans.__('Functions')}</th>
          <th>{trans.__('Environment')}</th>
          <th>{trans.__('Made')}</th>
        </tr>
      </thead>
      <tbody>
        {props.algorithm.versions.map(version => (
          <tr key={version.number}>
            <td>{`v${version.number}`}</td>
            <td>
              <StateChip state={version.state} />
              {version.message && (
                <div className="kpl-quiet">{said(trans, version.message)}</div>
              )}
            </td>
            <td>{version.functions.map(item => item.name).join(', ')}</td>
            <td>
              <code>{version.environment?.slice(0, 12)}</code>
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
 * The log of a version's check and build, live while it lasts.
 */
function Builds(props: { algorithm: AlgorithmDetail }): JSX.Element {
  const { trans } = useKpl();
  const { versions } = props.algorithm;
  const [number, setNumber] = React.useState<number | null>(null);
  const version =
    versions.find(item => item.number === number) ?? versions[0] ?? null;
  if (!version) {
    return <Empty text={trans.__('Nothing was built yet.')} />;
  }
  return (
    <div className="kpl-Filling">
      <label className="kpl-Inline">
        {trans.__('Version')}
        <select
          className="kpl-Select"
          value={version.number}
          onChange={event => setNumber(Number(event.target.value))}
        >
          {versions.map(item => (
            <option key={item.number} value={item.number}>
              {`v${item.number}`}
            </option>
          ))}
        </select>
        <StateChip state={version.state} />
      </label>
      <BuildLog algorithm={props.algorithm} version={version} />
    </div>
  );
}

/**
 * The log of one version; there is none before its build begins.
 */
function BuildLog(props: {
  algorithm: AlgorithmDetail;
  version: AlgorithmVersionView;
}): JSX.Element {
  const { trans } = useKpl();
  const { algorithm, version } = props;
  if (version.build_id === null) {
    return (
      <Empty
        text={
          version.state === 'ready'
            ? trans.__('Nothing had to be built: the image has all it needs.')
            : trans.__('The build has not begun.')
        }
      />
    );
  }
  return (
    <FollowedLog
      key={version.build_id}
      algorithm={algorithm}
      version={version}
      build={version.build_id}
    />
  );
}

/**
 * The log of a build, followed while it lasts.
 */
function FollowedLog(props: {
  algorithm: AlgorithmDetail;
  version: AlgorithmVersionView;
  build: number;
}): JSX.Element {
  const { client } = useKpl();
  const { algorithm, version, build } = props;
  const model = useLog(`builds:${build}`, offset =>
    client.algorithms.log(algorithm.id, version.number, offset)
  );
  return model ? (
    <LogView
      model={model}
      filename={`${algorithm.name}-v${version.number}.log`}
    />
  ) : (
    <></>
  );
}

/**
 * A namespace for private helpers.
 */
namespace Private {
  export function parts(
    { client, trans }: IKplContext,
    algorithm: AlgorithmDetail
  ): IPageParts {
    const usable =
      algorithm.versions.find(item => item.number === algorithm.version) ??
      null;
    const newest = algorithm.versions[0] ?? null;
    return {
      facts: (
        <>
          <StateChip state={algorithm.state} kind="algorithms" />
          {algorithm.version !== null && <span>{`v${algorithm.version}`}</span>}
          <span>{algorithm.functions.join(', ')}</span>
          <span>
            <TimeAgo time={algorithm.created_at} />
          </span>
          <span>{algorithm.owner}</span>
        </>
      ),
      actions: <Actions algorithm={algorithm} />,
      notice:
        newest?.state === 'failed' ? (
          <Notice
            tone="bad"
            title={trans.__(
              'Version %1 could not be published.',
              newest.number
            )}
          >
            <p>{said(trans, newest.message)}</p>
            {usable && (
              <p>{trans.__('Version %1 stays in use.', usable.number)}</p>
            )}
          </Notice>
        ) : null,
      notices: algorithm.notices,
      tabs: [
        {
          id: 'readme',
          label: trans.__('README'),
          content: () =>
            algorithm.readme ? (
              <Markdown text={algorithm.readme} />
            ) : (
              <Empty
                text={
                  algorithm.description ||
                  trans.__('The folder has no README.md.')
                }
              />
            )
        },
        {
          id: 'functions',
          label: trans.__('Functions'),
          content: () => <Functions form={algorithm.form} />
        },
        {
          id: 'code',
          label: trans.__('Code'),
          fills: true,
          content: () => (
            <CodeBrowser
              files={algorithm.files}
              name={`algorithms/${algorithm.id}/${algorithm.version}`}
              read={path =>
                client.algorithms.file(
                  algorithm.id,
                  algorithm.version ?? newest?.number ?? 1,
                  path
                )
              }
            />
          )
        },
        {
          id: 'versions',
          label: trans.__('Versions'),
          content: () => <Versions algorithm={algorithm} />
        },
        {
          id: 'builds',
          label: trans.__('Builds'),
          fills: true,
          content: () => <Builds algorithm={algorithm} />
        }
      ]
    };
  }
}
