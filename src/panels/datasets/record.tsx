import * as React from 'react';

import type {
  DatasetDetail,
  DatasetVersionView,
  RecordView
} from '../../api/types';
import { Button, Facts } from '../../components/basic';
import { Picture } from '../../components/picture';
import { useKpl } from '../../context';
import { asBlob, boxes, pictureField, shortValue } from './values';

/**
 * One record in full, above the page; Escape closes it.
 */
export function RecordDialog(props: {
  dataset: DatasetDetail;
  version: DatasetVersionView;
  record: RecordView;
  onClose: () => void;
}): JSX.Element {
  const { client, trans } = useKpl();
  const { dataset, version, record, onClose } = props;
  const dialog = React.useRef<HTMLDialogElement>(null);
  React.useEffect(() => {
    dialog.current?.showModal();
  }, []);
  const field = pictureField(record);
  const blob = field === null ? null : asBlob(record.values[field]);
  const url = (name: string, size: number): string =>
    client.datasets.fieldUrl(
      dataset.id,
      version.number,
      record.index,
      name,
      size
    );
  return (
    <dialog
      ref={dialog}
      className="kpl-Dialog"
      aria-label={trans.__('Record %1', record.index)}
      onClose={onClose}
      onClick={event => {
        if (event.target === dialog.current) {
          dialog.current.close();
        }
      }}
    >
      <header>
        <h2>{trans.__('Record %1', record.index)}</h2>
        <Button onClick={() => dialog.current?.close()}>
          {trans.__('Close')}
        </Button>
      </header>
      <div className="kpl-Dialog-body">
        {field !== null && (
          <Picture
            src={url(field, 800)}
            alt={trans.__('Record %1', record.index)}
            width={blob?.width}
            height={blob?.height}
            boxes={boxes(record)}
          />
        )}
        <Facts
          items={Object.entries(record.values).map(([name, value]) => [
            name,
            asBlob(value) ? (
              <a className="kpl-Link" href={url(name, 0)} download>
                {shortValue(value)}
              </a>
            ) : (
              shortValue(value)
            )
          ])}
        />
      </div>
    </dialog>
  );
}
