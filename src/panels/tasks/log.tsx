import * as React from 'react';

import type { TaskDetail } from '../../api/types';
import { LogView } from '../../components/logview';
import { useKpl } from '../../context';
import { useLog } from '../../hooks/log';

/**
 * The log of a task.
 */
export function TaskLog(props: { task: TaskDetail }): JSX.Element {
  const { client } = useKpl();
  const { id, name } = props.task;
  const model = useLog(`tasks:${id}`, offset => client.tasks.log(id, offset));
  return model ? <LogView model={model} filename={`${name}.log`} /> : <></>;
}
