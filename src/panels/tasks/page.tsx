import { stopIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import type { TaskDetail } from '../../api/types';
import {
  Button,
  Facts,
  Meter,
  Notice,
  StateChip,
  TimeAgo
} from '../../components/basic';
import { CodeBrowser } from '../../components/code';
import { FailureNotice } from '../../components/failure';
import type { IPageParts } from '../../components/page';
import { Page } from '../../components/page';
import { CommandIDs } from '../../commandids';
import type { IKplContext } from '../../context';
import { useKpl } from '../../context';
import { between, duration, percent, remaining } from '../../format';
import { useNow } from '../../hooks';
import { taskIcon } from '../../icons';
import type { ResourceDetail } from '../../models/detail';
import { said } from '../../said';
import { isFinal } from '../../states';
import { LastActions } from '../actions';
import type { IPageProps } from '../pages';
import { TaskCurves } from './curves';
import { TaskLog } from './log';
import { TaskOverview } from './overview';
import { TaskUsage } from './usage';

/**
 * The page of a task.
 */
export function TaskPage(props: IPageProps<TaskDetail>): JSX.Element {
  const context = useKpl();
  return (
    <Page
      icon={taskIcon}
      {...props}
      parts={task => Private.parts(context, props.model, task)}
    />
  );
}

/**
 * State, progress, time left or taken.
 */
function Head(props: { task: TaskDetail }): JSX.Element {
  const { trans } = useKpl();
  const { task } = props;
  const isRunning = task.state === 'running' || task.state === 'stopping';
  const now = useNow(isRunning ? 1 : 30);
  return (
    <>
      <StateChip state={task.state} kind="tasks" />
      {isRunning && task.progress !== null && (
        <span className="kpl-Page-progress">
          <Meter value={task.progress} limit={1} label={trans.__('Progress')} />
          <span>{percent(task.progress)}</span>
          {task.seconds_left !== null && (
            <span>
              {trans.__('%1 left', remaining(trans, task.seconds_left))}
            </span>
          )}
        </span>
      )}
      {task.state === 'queued' && task.queue && (
        <span>{said(trans, task.queue.waiting_for)}</span>
      )}
      {task.started_at && (
        <span>
          {Private.ran(
            trans,
            duration(trans, between(task.started_at, task.finished_at, now)),
            task.finished_at === null
          )}
        </span>
      )}
      <span>
        <TimeAgo time={task.created_at} />
      </span>
      <span>{task.owner}</span>
    </>
  );
}

/**
 * A namespace for private helpers.
 */
namespace Private {
  export function ran(
    trans: IKplContext['trans'],
    time: string,
    isRunning: boolean
  ): string {
    return isRunning
      ? trans.__('running for %1', time)
      : trans.__('ran %1', time);
  }

  export function parts(
    context: IKplContext,
    model: ResourceDetail<TaskDetail>,
    task: TaskDetail
  ): IPageParts {
    const { trans } = context;
    return {
      facts: <Head task={task} />,
      actions: actions(context, task),
      notice: notice(context, task),
      notices: task.notices,
      tabs: [
        {
          id: 'overview',
          label: trans.__('Overview'),
          content: () => <TaskOverview task={task} revision={model.revision} />
        },
        {
          id: 'curves',
          label: trans.__('Curves'),
          content: () => <TaskCurves task={task} revision={model.revision} />
        },
        {
          id: 'log',
          label: trans.__('Log'),
          fills: true,
          content: () => <TaskLog task={task} />
        },
        {
          id: 'usage',
          label: trans.__('Usage'),
          content: () => <TaskUsage task={task} />
        },
        {
          id: 'parameters',
          label: trans.__('Parameters'),
          content: () => <Parameters task={task} />
        },
        {
          id: 'code',
          label: trans.__('Code'),
          fills: true,
          content: () => (
            <CodeBrowser
              files={task.files}
              name={`tasks/${task.id}`}
              read={path => context.client.tasks.file(task.id, path)}
            />
          )
        }
      ]
    };
  }

  function actions(
    { commands, trans }: IKplContext,
    task: TaskDetail
  ): React.ReactNode {
    const args = { kind: 'tasks', id: task.id, name: task.name };
    const canStop =
      !isFinal(task.state) &&
      task.state !== 'draft' &&
      task.state !== 'stopping';
    return (
      <>
        {canStop && (
          <Button
            look="warn"
            icon={stopIcon}
            onClick={() => void commands.execute(CommandIDs.stopTask, args)}
          >
            {trans.__('Stop')}
          </Button>
        )}
        <Button
          onClick={() => void commands.execute(CommandIDs.resubmitTask, args)}
        >
          {trans.__('Submit again…')}
        </Button>
        <LastActions args={args} canDelete={isFinal(task.state)} />
      </>
    );
  }

  function notice({ trans }: IKplContext, task: TaskDetail): React.ReactNode {
    const isOnTheWay = task.state === 'preparing' || task.state === 'running';
    if (isOnTheWay && task.message) {
      return <Notice tone="info">{said(trans, task.message)}</Notice>;
    }
    return task.state === 'failed' ? (
      <FailureNotice
        tone="bad"
        title={trans.__('The task failed.')}
        message={task.message}
        remedy={task.remedy}
      />
    ) : null;
  }
}

/**
 * Parameters, variables and command as they were given.
 */
function Parameters(props: { task: TaskDetail }): JSX.Element {
  const { trans } = useKpl();
  const { task } = props;
  const variables = Object.entries(task.environment);
  return (
    <>
      <h2>{trans.__('Parameters')}</h2>
      <ParameterTable values={task.parameters} />
      <h2>{trans.__('Command')}</h2>
      <pre className="kpl-Pre">{task.command}</pre>
      {variables.length > 0 && (
        <>
          <h2>{trans.__('Environment variables')}</h2>
          <Facts items={variables} />
        </>
      )}
    </>
  );
}

/**
 * Nested parameters as dotted names and values.
 */
export function ParameterTable(props: {
  values: Record<string, unknown>;
}): JSX.Element {
  const { trans } = useKpl();
  const rows = flatten(props.values);
  return rows.length === 0 ? (
    <p className="kpl-quiet">{trans.__('None.')}</p>
  ) : (
    <table className="kpl-Table">
      <tbody>
        {rows.map(([name, value]) => (
          <tr key={name}>
            <th scope="row">{name}</th>
            <td>
              <code>
                {typeof value === 'string' ? value : JSON.stringify(value)}
              </code>
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/**
 * A nested mapping as dotted names and values.
 */
export function flatten(
  values: Record<string, unknown>,
  prefix = ''
): [string, unknown][] {
  return Object.entries(values).flatMap(([key, value]): [string, unknown][] =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? flatten(value as Record<string, unknown>, `${prefix}${key}.`)
      : [[`${prefix}${key}`, value]]
  );
}
