import * as React from 'react';
import uPlot from 'uplot';

import type { Figure } from '../api/types';
import { useKpl } from '../context';
import { measured } from '../format';

/**
 * Colours and dashes of the series: ten of them can be told apart without colour, too.
 */
const STYLES: [string, number[]][] = [
  ['--jp-brand-color1', []],
  ['--jp-warn-color1', [6, 4]],
  ['--jp-success-color1', [2, 3]],
  ['--jp-error-color1', [10, 4, 2, 4]],
  ['--jp-info-color1', [12, 4]],
  ['--jp-brand-color2', [4, 2]],
  ['--jp-warn-color2', [8, 3, 2, 3, 2, 3]],
  ['--jp-success-color2', [1, 5]],
  ['--jp-error-color2', [14, 3, 4, 3]],
  ['--jp-info-color2', [3, 6]]
];

/**
 * One, two, two and a half and five of every power of ten.
 */
const STEPS = Array.from({ length: 36 }, (_, at) =>
  [1, 2, 2.5, 5].map(step => Number(`${step}e${at - 18}`))
).flat();

/**
 * The distances that marks on the axis of x may have: whole ones where every x is whole, as there
 * is no half epoch.
 */
export function steps(x: ArrayLike<number | null>): number[] {
  const isWhole = Array.from(x).every(
    value => value === null || Number.isInteger(value)
  );
  return isWhole ? STEPS.filter(Number.isInteger) : STEPS;
}

/**
 * The last value of a series: what its legend says until the pointer is over a point.
 */
export function last(
  values: ArrayLike<number | null | undefined>
): number | null {
  for (let at = values.length - 1; at >= 0; at--) {
    const value = values[at];
    if (value !== null && value !== undefined) {
      return value;
    }
  }
  return null;
}

/**
 * A figure with one or more curves: zoom by drag, values on hover, double click resets.
 */
export function Chart(props: {
  figure: Figure;
  isDark: boolean;
  height?: number;

  /**
   * What x is, where that is known.
   */
  xName?: string;
}): JSX.Element {
  const { figure, isDark, height = 220, xName } = props;
  const box = React.useRef<HTMLDivElement>(null);
  const plot = React.useRef<uPlot | null>(null);
  const data = React.useMemo(() => Private.table(figure), [figure]);
  const isZoomed = React.useRef(false);
  const latest = React.useRef(data);
  latest.current = data;
  const { trans } = useKpl();
  const xLabel = xName ?? trans.__('x');
  const names = figure.series.map(series => series.name).join('\u0000');
  React.useEffect(() => {
    const node = box.current;
    if (!node) {
      return;
    }
    const options = Private.options(
      [xLabel, ...names.split('\u0000')],
      node,
      height
    );
    const chart = new uPlot(
      {
        ...options,
        hooks: {
          setSelect: [u => (isZoomed.current = u.select.width > 0)],
          ready: [
            u => u.setLegend({ idxs: u.data.map(() => null) }, false),
            u =>
              u.over.addEventListener('dblclick', () => {
                isZoomed.current = false;
              })
          ]
        }
      },
      latest.current,
      node
    );
    plot.current = chart;
    const observer = new ResizeObserver(() => {
      chart.setSize({ width: node.clientWidth, height });
    });
    observer.observe(node);
    return () => {
      observer.disconnect();
      chart.destroy();
      plot.current = null;
    };
  }, [names, xLabel, isDark, height]);
  React.useEffect(() => {
    const chart = plot.current;
    if (chart) {
      // A zoomed chart stays where it is while points arrive.
      chart.setData(data, !isZoomed.current);
      if (isZoomed.current) {
        chart.redraw();
      }
      if ((chart.cursor.left ?? -1) < 0) {
        // Nobody points at anything: the legend follows the last values.
        chart.setLegend({ idxs: chart.data.map(() => null) }, false);
      }
    }
  }, [data]);
  return (
    <figure className="kpl-Chart">
      <figcaption>{figure.title}</figcaption>
      <div ref={box} className="kpl-Chart-plot" />
    </figure>
  );
}

/**
 * A namespace for private helpers.
 */
namespace Private {
  /**
   * All series over the one sorted column of x that uPlot wants; what a series lacks
   * is undefined, so that its line goes on, and a value that is no number is a gap.
   */
  export function table(figure: Figure): uPlot.AlignedData {
    const tables = figure.series.map(
      series => sorted(series.x, series.y) as unknown as uPlot.AlignedData
    );
    if (tables.length === 0) {
      return [[]];
    }
    return tables.length === 1 ? tables[0] : uPlot.join(tables);
  }

  function sorted(
    x: ReadonlyArray<number | null>,
    y: ReadonlyArray<number | null>
  ): [number[], (number | null)[]] {
    const points: [number, number | null][] = [];
    x.forEach((value, at) => {
      if (value !== null) {
        points.push([value, y[at] ?? null]);
      }
    });
    points.sort((a, b) => a[0] - b[0]);
    return [points.map(point => point[0]), points.map(point => point[1])];
  }

  export function options(
    [xName, ...names]: string[],
    node: HTMLElement,
    height: number
  ): uPlot.Options {
    const style = getComputedStyle(node);
    const color = (name: string): string => style.getPropertyValue(name).trim();
    const axis: uPlot.Axis = {
      stroke: color('--jp-ui-font-color2'),
      font: `11px ${color('--jp-ui-font-family') || 'sans-serif'}`,
      grid: { stroke: color('--jp-border-color2'), width: 1 },
      ticks: { stroke: color('--jp-border-color2'), width: 1, size: 4 },
      values: (_, splits) => splits.map(value => measured(value))
    };
    return {
      width: node.clientWidth || 400,
      height,
      scales: { x: { time: false } },
      axes: [
        { ...axis, size: 28, incrs: plot => steps(plot.data[0]) },
        { ...axis, size: 56 }
      ],
      cursor: { drag: { x: true, y: false }, points: { size: 6 } },
      legend: { live: true },
      series: [
        {
          label: xName,
          value: (u, value, at, index) => shown(u, value, at, index)
        },
        ...names.map((name, at) => series(name, at, color))
      ]
    };
  }

  function series(
    name: string,
    at: number,
    color: (name: string) => string
  ): uPlot.Series {
    const [variable, dash] = STYLES[at % STYLES.length];
    return {
      label: name,
      stroke: color(variable),
      dash,
      width: 1.5,
      points: { show: false },
      spanGaps: false,
      value: (u, value, at, index) => shown(u, value, at, index)
    };
  }

  function shown(
    { data }: uPlot,
    value: number | null | undefined,
    at: number,
    index: number | null
  ): string {
    const found =
      index === null || index === undefined ? last(data[at]) : value;
    return found === null || found === undefined ? '–' : measured(found);
  }
}
