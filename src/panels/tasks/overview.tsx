import * as React from 'react';

import type { TaskDetail } from '../../api/types';
import { Facts } from '../../components/basic';
import { EventList } from '../../components/events';
import { ReferenceLink, ResourceLink } from '../../components/links';
import { useKpl } from '../../context';
import { pluralKind } from '../../kinds';
import { bytes, duration, exact, measured, memory } from '../../format';
import { useRemote } from '../../hooks';
import { said } from '../../said';
import { isFinal } from '../../states';

/**
 * What the task is, what went in and came out, and what happened.
 */
export function TaskOverview(props: {
  task: TaskDetail;
  revision: number;
}): JSX.Element {
  const { client, trans } = useKpl();
  const { task, revision } = props;
  return (
    <div className="kpl-Columns">
      <div>
        <Results task={task} revision={revision} />
        <Ends task={task} />
        <EventList
          name={`tasks/${task.id}`}
          revision={revision}
          read={() => client.tasks.events(task.id)}
        />
      </div>
      <aside>
        <h2>{trans.__('About')}</h2>
        <Facts items={Private.facts(task, trans)} />
        {task.description && <p>{task.description}</p>}
      </aside>
    </div>
  );
}

/**
 * The scalar results, large enough to be read at a glance.
 */
function Results(props: {
  task: TaskDetail;
  revision: number;
}): JSX.Element | null {
  const { client, trans } = useKpl();
  const { task, revision } = props;
  const metrics = useRemote(
    () => client.tasks.metrics(task.id, 4),
    `tasks/${task.id}`,
    revision
  );
  const scalars = Object.entries(metrics.value?.scalars ?? {});
  if (scalars.length === 0) {
    return null;
  }
  return (
    <section>
      <h2>{trans.__('Results')}</h2>
      <dl className="kpl-Scalars">
        {scalars.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{measured(value)}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}

/**
 * Inputs and outputs as links.
 */
function Ends(props: { task: TaskDetail }): JSX.Element {
  const { trans } = useKpl();
  const { inputs, outputs } = props.task;
  const nothing = Private.whyNoOutputs(props.task, trans);
  return (
    <div className="kpl-Ends">
      <section>
        <h2>{trans.__('Inputs')}</h2>
        {inputs.length === 0 && (
          <p className="kpl-quiet">{trans.__('None.')}</p>
        )}
        <ul>
          {inputs.map(input => (
            <li key={input.key}>
              <code>{input.key}</code>
              <ResourceLink
                kind={input.kind === 'model' ? 'models' : 'datasets'}
                name={input.name}
                version={input.version}
              />
            </li>
          ))}
        </ul>
      </section>
      <section>
        <h2>{trans.__('Outputs')}</h2>
        {nothing && <p className="kpl-quiet">{nothing}</p>}
        <ul>
          {(nothing ? [] : outputs).map(output => {
            const kind = output.resource ? pluralKind(output.resource) : null;
            return (
              <li key={output.key}>
                <code>{output.key}</code>
                {kind && output.name && output.version !== null ? (
                  <ResourceLink
                    kind={kind}
                    id={output.resource_id}
                    name={output.name}
                    version={output.version}
                  />
                ) : (
                  <span>
                    {output.bytes === 0
                      ? trans.__('The program wrote nothing into this output.')
                      : said(trans, output.message) || output.name}
                  </span>
                )}
                {output.bytes !== null && (
                  <span className="kpl-quiet">{bytes(output.bytes)}</span>
                )}
              </li>
            );
          })}
        </ul>
      </section>
    </div>
  );
}

/**
 * A namespace for private helpers.
 */
namespace Private {
  /**
   * Why there are no outputs to show; null where there are.
   */
  export function whyNoOutputs(
    task: TaskDetail,
    trans: ReturnType<typeof useKpl>['trans']
  ): string | null {
    // The start of one that did well may have been seen by nobody.
    const hasRun = task.started_at || task.state === 'succeeded';
    if (isFinal(task.state) && !hasRun) {
      return trans.__('None: it never ran.');
    }
    if (task.outputs.length > 0) {
      return null;
    }
    if (isFinal(task.state)) {
      return trans.__('None.');
    }
    return task.save_as.length > 0
      ? trans.__('Kept after a successful end.')
      : trans.__('None so far.');
  }

  export function facts(
    task: TaskDetail,
    trans: ReturnType<typeof useKpl>['trans']
  ): [string, React.ReactNode][] {
    const { resources } = task;
    return [
      [trans.__('Function'), task.function],
      [
        trans.__('Code'),
        task.algorithm ? (
          <ReferenceLink kind="algorithms" reference={task.algorithm} />
        ) : (
          task.code_name
        )
      ],
      [
        trans.__('Processes'),
        task.nodes > 1
          ? trans.__('%1 nodes with %2 each', task.nodes, task.processes)
          : task.processes > 1
            ? task.processes
            : null
      ],
      [
        task.nodes > 1 ? trans.__('Limits of each node') : trans.__('Limits'),
        [
          trans.__('%1 CPU', resources.cpu),
          memory(resources.memory),
          resources.gpu > 0 ? trans._n('%1 GPU', '%1 GPUs', resources.gpu) : ''
        ]
          .filter(Boolean)
          .join(' · ')
      ],
      [trans.__('Resource pool'), task.pool || null],
      [
        trans.__('Time limit'),
        task.time_limit_seconds
          ? duration(trans, task.time_limit_seconds)
          : null
      ],
      [trans.__('Submitted'), exact(task.created_at)],
      [trans.__('Started'), task.started_at ? exact(task.started_at) : null],
      [trans.__('Ended'), task.finished_at ? exact(task.finished_at) : null],
      [trans.__('Exit code'), task.exit_code],
      [trans.__('Attempt'), task.attempt > 1 ? task.attempt : null],
      [trans.__('Id'), task.id]
    ];
  }
}
