import * as React from 'react';

import { useKpl } from '../context';
import { useRemote } from '../hooks';
import { CopyBlock, Empty, ErrorNotice, Skeleton } from './basic';

/**
 * A folder of code: its files on the left, the chosen one on the right.
 */
export function CodeBrowser(props: {
  files: string[];
  name: string;
  read: (path: string) => Promise<string>;
}): JSX.Element {
  const { trans } = useKpl();
  const { files, name, read } = props;
  const [chosen, setChosen] = React.useState<string | null>(null);
  const path =
    chosen ??
    files.find(file => /^(train|environment)\./.test(file)) ??
    files[0];
  const remote = useRemote(
    path ? () => read(path) : null,
    `${name}/${path ?? ''}`
  );
  if (!path) {
    return <Empty text={trans.__('No code was kept.')} />;
  }
  return (
    <div className="kpl-Code">
      <ul className="kpl-Code-files" aria-label={trans.__('Files')}>
        {files.map(file => (
          <li key={file}>
            <button
              type="button"
              aria-current={file === path}
              onClick={() => setChosen(file)}
            >
              {file}
            </button>
          </li>
        ))}
      </ul>
      <div className="kpl-Code-text">
        {remote.error ? (
          <ErrorNotice error={remote.error} retry={remote.reload} />
        ) : remote.value === null ? (
          <Skeleton rows={8} />
        ) : (
          <CopyBlock label={path} text={remote.value} />
        )}
      </div>
    </div>
  );
}
