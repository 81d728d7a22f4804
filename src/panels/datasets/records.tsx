import * as React from 'react';

import type {
  DatasetDetail,
  DatasetVersionView,
  RecordView
} from '../../api/types';
import { Button, Empty, ErrorNotice, Skeleton } from '../../components/basic';
import { useKpl } from '../../context';
import { useRemote } from '../../hooks';
import { Histogram } from './histogram';
import { RecordDialog } from './record';
import { caption, pictureField, shortValue } from './values';

/**
 * How many records a page has.
 */
const PAGE = 60;

/**
 * The records of a version: pictures in a grid, everything else in a table, and the
 * classes beside it to filter by.
 */
export function Records(props: {
  dataset: DatasetDetail;
  version: DatasetVersionView;
}): JSX.Element {
  const { client, trans } = useKpl();
  const { dataset, version } = props;
  const [offset, setOffset] = React.useState(0);
  const [className, setClassName] = React.useState<string | null>(null);
  const [opened, setOpened] = React.useState<RecordView | null>(null);
  const page = useRemote(
    () =>
      client.datasets.records(dataset.id, version.number, {
        offset,
        limit: PAGE,
        class_name: className ?? undefined
      }),
    `${dataset.id}/${version.number}/${className ?? ''}/${offset}`
  );
  const last = React.useRef(page.value);
  if (page.value) {
    last.current = page.value;
  }
  // While the next page is read the last one stays, dimmed.
  const shown = page.value ?? last.current;
  const choose = (name: string | null): void => {
    setClassName(name);
    setOffset(0);
  };
  return (
    <div className="kpl-Records">
      <div className="kpl-Records-main">
        {page.error && <ErrorNotice error={page.error} retry={page.reload} />}
        {!shown && !page.error && <Skeleton rows={8} />}
        {shown && (
          <div data-stale={page.isLoading || undefined}>
            {shown.items.length === 0 ? (
              <Empty text={trans.__('No records.')} />
            ) : (
              <RecordGrid
                dataset={dataset}
                version={version}
                records={shown.items}
                onOpen={setOpened}
              />
            )}
          </div>
        )}
        {shown && shown.total > PAGE && (
          <Pager offset={offset} total={shown.total} onChange={setOffset} />
        )}
      </div>
      {version.classes.length > 0 && (
        <Histogram
          classes={version.classes}
          chosen={className}
          onChoose={choose}
        />
      )}
      {opened && (
        <RecordDialog
          dataset={dataset}
          version={version}
          record={opened}
          onClose={() => setOpened(null)}
        />
      )}
    </div>
  );
}

/**
 * A page of records, as pictures where they have one.
 */
function RecordGrid(props: {
  dataset: DatasetDetail;
  version: DatasetVersionView;
  records: RecordView[];
  onOpen: (record: RecordView) => void;
}): JSX.Element {
  const { client, trans } = useKpl();
  const { dataset, version, records, onOpen } = props;
  const field = pictureField(records[0]);
  if (field === null) {
    return <RecordTable version={version} records={records} onOpen={onOpen} />;
  }
  return (
    <ul className="kpl-Grid" aria-label={trans.__('Records')}>
      {records.map(record => (
        <li key={record.index}>
          <button
            type="button"
            className="kpl-Grid-item"
            title={shortValue(record.values.path) || undefined}
            onClick={() => onOpen(record)}
          >
            <img
              loading="lazy"
              onLoad={({ currentTarget: image }) => {
                image.dataset.small = String(image.naturalWidth < 48);
              }}
              alt={trans.__('Record %1', record.index)}
              src={client.datasets.fieldUrl(
                dataset.id,
                version.number,
                record.index,
                field,
                160
              )}
            />
            <span className="kpl-Grid-caption">{caption(record)}</span>
          </button>
        </li>
      ))}
    </ul>
  );
}

/**
 * A page of records as a table.
 */
function RecordTable(props: {
  version: DatasetVersionView;
  records: RecordView[];
  onOpen: (record: RecordView) => void;
}): JSX.Element {
  const { version, records, onOpen } = props;
  const names =
    version.fields.length > 0
      ? version.fields.map(field => field.name)
      : Object.keys(records[0]?.values ?? {});
  return (
    <table className="kpl-Table kpl-Records-table">
      <thead>
        <tr>
          <th className="kpl-mod-number">{'#'}</th>
          {names.map(name => (
            <th key={name}>{name}</th>
          ))}
        </tr>
      </thead>
      <tbody>
        {records.map(record => (
          <tr key={record.index}>
            <td className="kpl-mod-number">
              <Button look="link" onClick={() => onOpen(record)}>
                {record.index}
              </Button>
            </td>
            {names.map(name => (
              <td key={name}>{shortValue(record.values[name])}</td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/**
 * Which records are shown, and the way to the others.
 */
function Pager(props: {
  offset: number;
  total: number;
  onChange: (offset: number) => void;
}): JSX.Element {
  const { trans } = useKpl();
  const { offset, total, onChange } = props;
  return (
    <nav className="kpl-Pager" aria-label={trans.__('Pages')}>
      <Button
        disabled={offset === 0}
        onClick={() => onChange(Math.max(0, offset - PAGE))}
      >
        {trans.__('Back')}
      </Button>
      <span role="status">
        {trans.__(
          '%1–%2 of %3',
          offset + 1,
          Math.min(total, offset + PAGE),
          total
        )}
      </span>
      <Button
        disabled={offset + PAGE >= total}
        onClick={() => onChange(offset + PAGE)}
      >
        {trans.__('Next')}
      </Button>
    </nav>
  );
}
