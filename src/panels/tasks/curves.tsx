import * as React from 'react';

import type { CurveResult, Figure, TaskDetail } from '../../api/types';
import { Empty, ErrorNotice, Skeleton } from '../../components/basic';
import { Chart } from '../../components/chart';
import { useKpl } from '../../context';
import { useRemote, useTheme } from '../../hooks';

/**
 * The curves of a task, drawn as they come.
 */
export function TaskCurves(props: {
  task: TaskDetail;
  revision: number;
}): JSX.Element {
  const { client, trans } = useKpl();
  const { task, revision } = props;
  const isDark = useTheme();
  const metrics = useRemote(
    () => client.tasks.metrics(task.id),
    `tasks/${task.id}`,
    revision
  );
  const value = metrics.value;
  // Only a figure whose points changed is drawn again.
  const figures = React.useMemo<(Figure & { x?: string })[]>(
    () => [
      ...(value?.curves ?? []),
      ...(value?.results ?? []).map(Private.figure)
    ],
    [value]
  );
  if (metrics.error && !value) {
    return <ErrorNotice error={metrics.error} retry={metrics.reload} />;
  }
  if (!value) {
    return <Skeleton rows={6} />;
  }
  if (figures.length === 0) {
    return (
      <Empty
        text={trans.__(
          'No curves yet. A task sends them with kpl_helper.metric.MetricFigure.'
        )}
      />
    );
  }
  return (
    <div className="kpl-Charts">
      {figures.map(figure => (
        <Chart
          key={figure.title}
          figure={figure}
          isDark={isDark}
          xName={figure.x}
        />
      ))}
      <p className="kpl-quiet kpl-Charts-help">
        {trans.__('Drag to zoom, double click to see all.')}
      </p>
    </div>
  );
}

/**
 * A namespace for private helpers.
 */
namespace Private {
  export function figure(result: CurveResult): Figure & { x: string } {
    return {
      title: result.title,
      x: result.x,
      series: [
        {
          name: result.y,
          type: 'line',
          x: result.data.map(point => point[0] as number),
          y: result.data.map(point => point[1] as number),
          total: result.data.length
        }
      ]
    };
  }
}
