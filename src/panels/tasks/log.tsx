import * as React from 'react';

import type { TaskDetail } from '../../api/types';
import { LogView } from '../../components/logview';
import { useKpl } from '../../context';
import { useLog } from '../../hooks/log';

/**
 * The log of a task; of one over several nodes, each has its own.
 */
export function TaskLog(props: { task: TaskDetail }): JSX.Element {
  const { trans } = useKpl();
  const { task } = props;
  const [node, setNode] = React.useState(0);
  if (task.nodes === 1) {
    return <NodeLog task={task} node={0} />;
  }
  return (
    <div className="kpl-Filling">
      <label className="kpl-Inline">
        {trans.__('Node')}
        <select
          className="kpl-Select"
          value={node}
          onChange={event => setNode(Number(event.target.value))}
        >
          {Array.from({ length: task.nodes }, (_, index) => (
            <option key={index} value={index}>
              {index}
            </option>
          ))}
        </select>
      </label>
      <NodeLog key={node} task={task} node={node} />
    </div>
  );
}

/**
 * The log of one node.
 */
function NodeLog(props: { task: TaskDetail; node: number }): JSX.Element {
  const { client } = useKpl();
  const { node, task } = props;
  const { id, name } = task;
  const model = useLog(node ? `tasks:${id}:${node}` : `tasks:${id}`, offset =>
    client.tasks.log(id, offset, { node })
  );
  const filename = node ? `${name}-${node}.log` : `${name}.log`;
  return model ? <LogView model={model} filename={filename} /> : <></>;
}
