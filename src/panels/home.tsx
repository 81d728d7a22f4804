import { MainAreaWidget } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import { folderIcon, ReactWidget } from '@jupyterlab/ui-components';
import * as React from 'react';

import type { IFilling, IThing, LocalApi } from '../api/local';
import { confirm } from '../dialogs';
import { bytes } from '../format';
import { PlatformError } from '../request';
import { said } from '../said';

/**
 * What the page works with.
 */
export interface IHomeOptions {
  api: Pick<LocalApi, 'filling' | 'remove'>;
  trans: TranslationBundle;

  /**
   * Whether the server was started in a home without room.
   */
  isCleaningUp: boolean;

  /**
   * Called after something was deleted.
   */
  onRemoved: () => void;
}

/**
 * A tab of the main area: what fills the home folder, and a button to delete each.
 */
export function homeWidget(options: IHomeOptions): MainAreaWidget {
  const content = ReactWidget.create(<HomePage {...options} />);
  content.addClass('kpl-Main');
  const widget = new MainAreaWidget({ content });
  widget.toolbar.hide();
  widget.id = 'kpl-lab-home';
  widget.title.icon = folderIcon;
  widget.title.label = options.trans.__('Home folder');
  widget.title.closable = true;
  return widget;
}

/**
 * What fills the home folder.
 */
export function HomePage(props: IHomeOptions): JSX.Element {
  const { api, trans, isCleaningUp, onRemoved } = props;
  const [filling, setFilling] = React.useState<IFilling | null>(null);
  const [error, setError] = React.useState<PlatformError | null>(null);
  const attempt = React.useCallback(
    async (work: () => Promise<void>): Promise<void> => {
      try {
        setError(null);
        await work();
      } catch (reason) {
        setError(PlatformError.from(reason));
      }
    },
    []
  );
  const read = React.useCallback(
    () => attempt(async () => setFilling(await api.filling())),
    [api, attempt]
  );
  React.useEffect(() => void read(), [read]);
  const remove = async (thing: IThing): Promise<void> => {
    if (await confirmed(trans, thing)) {
      await attempt(async () => {
        await api.remove(thing.path);
        onRemoved();
        setFilling(await api.filling());
      });
    }
  };
  return (
    <div className="kpl-Page kpl-Home">
      <h1>{trans.__('What fills the home folder')}</h1>
      {isCleaningUp && (
        <Advice trans={trans} isFull={filling?.is_full ?? true} />
      )}
      {error && (
        <p role="alert" className="kpl-Home-error">
          {said(trans, error.message)}
        </p>
      )}
      {filling ? (
        <Tables trans={trans} filling={filling} onRemove={remove} />
      ) : (
        !error && <p role="status">{trans.__('Counting…')}</p>
      )}
      <button
        type="button"
        className="jp-mod-styled jp-mod-reject kpl-Button"
        onClick={() => void read()}
      >
        {trans.__('Count again')}
      </button>
    </div>
  );
}

/**
 * Why the page is open, and what to do.
 */
function Advice(props: {
  trans: TranslationBundle;
  isFull: boolean;
}): JSX.Element {
  const { trans, isFull } = props;
  return (
    <p className="kpl-Home-advice" role="alert" data-tone="warn">
      {isFull
        ? trans.__(
            'The disk of your home folder is full, so this server was started to clean up: notebooks cannot be saved, histories and layouts are not kept. Delete what you no longer need, here, in the file browser or in a terminal (rm -r FOLDER); what is deleted here is gone at once and goes to no trash.'
          )
        : trans.__(
            'There is room again. Stop this server and start it once more, so that histories and layouts are kept again.'
          )}
    </p>
  );
}

function Tables(props: {
  trans: TranslationBundle;
  filling: IFilling;
  onRemove: (thing: IThing) => void;
}): JSX.Element {
  const { trans, filling, onRemove } = props;
  const { folders, files, free, is_whole, size, total } = filling;
  return (
    <>
      <p>
        {trans.__(
          'The home folder holds %1; of its disk %2 of %3 are free.',
          bytes(total),
          bytes(free),
          bytes(size)
        )}
        {!is_whole &&
          ' ' +
            trans.__(
              'There are too many files to count all of them: amounts are at least these.'
            )}
      </p>
      <Table
        head={trans.__('Largest folders')}
        things={folders}
        trans={trans}
        onRemove={onRemove}
      />
      <Table
        head={trans.__('Largest files')}
        things={files}
        trans={trans}
        onRemove={onRemove}
      />
    </>
  );
}

function Table(props: {
  head: string;
  things: IThing[];
  trans: TranslationBundle;
  onRemove: (thing: IThing) => void;
}): JSX.Element {
  const { head, things, trans, onRemove } = props;
  if (things.length === 0) {
    return <></>;
  }
  return (
    <table className="kpl-Home-table">
      <caption>{head}</caption>
      <tbody>
        {things.map(thing => (
          <tr key={thing.path}>
            <td>{bytes(thing.bytes)}</td>
            <td>{thing.path}</td>
            <td>
              <button
                type="button"
                className="kpl-LinkButton"
                aria-label={trans.__('Delete %1…', thing.path)}
                onClick={() => onRemove(thing)}
              >
                {trans.__('Delete…')}
              </button>
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

async function confirmed(
  trans: TranslationBundle,
  thing: IThing
): Promise<boolean> {
  return confirm({
    trans,
    title: trans.__('Delete %1?', thing.path),
    body: trans.__(
      'It takes %1 and is gone for good: it does not go to the trash.',
      bytes(thing.bytes)
    ),
    label: trans.__('Delete')
  });
}
