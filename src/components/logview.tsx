import { downloadIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import { useKpl } from '../context';
import { useModel } from '../hooks';
import type { LogModel } from '../models/log';
import { Button, ErrorNotice, IconButton, Skeleton } from './basic';

/**
 * The height of a line in pixels; the style sheet sets the same.
 */
const LINE = 18;

/**
 * How many lines are painted above and below what is seen.
 */
const MARGIN = 20;

/**
 * A log: only the lines in sight are in the page, however many there are.
 */
export function LogView(props: {
  model: LogModel;
  filename: string;
}): JSX.Element {
  const { trans } = useKpl();
  const { model } = props;
  useModel(model);
  const [query, setQuery] = React.useState('');
  const [isFollowing, setFollowing] = React.useState(true);
  const lines = model.matching(query);
  if (model.error && !model.isLoaded) {
    return <ErrorNotice error={model.error} retry={() => model.retry()} />;
  }
  if (!model.isLoaded) {
    return <Skeleton rows={6} />;
  }
  return (
    <div className="kpl-Log">
      <div className="kpl-Log-tools">
        <input
          className="jp-mod-styled"
          type="search"
          value={query}
          placeholder={trans.__('Search')}
          aria-label={trans.__('Search the log')}
          onChange={event => setQuery(event.target.value)}
        />
        <span className="kpl-quiet" role="status">
          {query
            ? trans._n('%1 line found', '%1 lines found', lines.length)
            : trans._n('%1 line', '%1 lines', lines.length + model.dropped)}
          {model.isComplete ? '' : ` · ${trans.__('following')}`}
        </span>
        <span className="kpl-spring" />
        {!isFollowing && (
          <Button look="link" onClick={() => setFollowing(true)}>
            {trans.__('To the end')}
          </Button>
        )}
        <IconButton
          icon={downloadIcon}
          label={trans.__('Download the log')}
          onClick={() => Private.save(model.lines, props.filename)}
        />
      </div>
      <Lines
        lines={lines}
        query={query}
        isFollowing={isFollowing}
        onFollow={setFollowing}
        label={trans.__('Log')}
        empty={
          query
            ? trans.__('No line has this.')
            : trans.__('Nothing printed yet.')
        }
      />
    </div>
  );
}

/**
 * The scrolling part: a spacer as tall as all lines, and the lines in sight.
 */
function Lines(props: {
  lines: ReadonlyArray<string>;
  query: string;
  isFollowing: boolean;
  onFollow: (value: boolean) => void;
  label: string;
  empty: string;
}): JSX.Element {
  const { lines, query, isFollowing, onFollow } = props;
  const box = React.useRef<HTMLDivElement>(null);
  const [top, setTop] = React.useState(0);
  const [height, setHeight] = React.useState(600);
  React.useLayoutEffect(() => {
    const node = box.current;
    if (!node) {
      return;
    }
    const observer = new ResizeObserver(() => setHeight(node.clientHeight));
    observer.observe(node);
    return () => observer.disconnect();
  }, []);
  React.useLayoutEffect(() => {
    if (isFollowing && box.current) {
      box.current.scrollTop = box.current.scrollHeight;
    }
  });
  const first = Math.max(0, Math.floor(top / LINE) - MARGIN);
  const last = Math.min(
    lines.length,
    Math.ceil((top + height) / LINE) + MARGIN
  );
  return (
    <div
      className="kpl-Log-lines"
      ref={box}
      tabIndex={0}
      role="log"
      aria-live="off"
      aria-label={props.label}
      onScroll={event => {
        const node = event.currentTarget;
        setTop(node.scrollTop);
        const isAtEnd =
          node.scrollHeight - node.scrollTop - node.clientHeight < LINE * 2;
        if (isAtEnd !== isFollowing) {
          onFollow(isAtEnd);
        }
      }}
    >
      {lines.length === 0 && <div className="kpl-quiet">{props.empty}</div>}
      <div style={{ height: lines.length * LINE }}>
        <div style={{ transform: `translateY(${first * LINE}px)` }}>
          {lines.slice(first, last).map((line, at) => (
            <div key={first + at} className="kpl-Log-line">
              {query ? Private.marked(line, query) : line || '\u00a0'}
            </div>
          ))}
        </div>
      </div>
    </div>
  );
}

/**
 * A namespace for private helpers.
 */
namespace Private {
  /**
   * A line with its first hit marked.
   */
  export function marked(line: string, query: string): React.ReactNode {
    const at = line.toLowerCase().indexOf(query.toLowerCase());
    return at < 0 ? (
      line
    ) : (
      <>
        {line.slice(0, at)}
        <mark>{line.slice(at, at + query.length)}</mark>
        {line.slice(at + query.length)}
      </>
    );
  }

  export function save(lines: ReadonlyArray<string>, filename: string): void {
    const url = URL.createObjectURL(
      new Blob([lines.join('\n')], { type: 'text/plain' })
    );
    const link = document.createElement('a');
    link.href = url;
    link.download = filename;
    link.click();
    URL.revokeObjectURL(url);
  }
}
