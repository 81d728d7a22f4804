import * as React from 'react';

import {
  Button,
  Empty,
  ErrorNotice,
  IconButton,
  Letter,
  Skeleton,
  StateIcon,
  classes
} from '../../components/basic';
import { CommandIDs } from '../../commandids';
import { useKpl } from '../../context';
import { useModel, useSignal } from '../../hooks';
import type { IItem, ResourceList } from '../../models/list';
import type { ResourceKind } from '../../tokens';
import { CatalogNotice } from '../images/catalog';
import type { IRow, SectionKind } from './kinds';
import { describeRow, sectionTexts } from './kinds';

/**
 * The rows of one section, with its search, empty, loading and error states.
 */
export function SectionList(props: {
  kind: SectionKind;
  list: ResourceList<IItem>;
  isSearching: boolean;
}): JSX.Element {
  const { client, commands, trans } = useKpl();
  const { kind, list, isSearching } = props;
  useModel(list);
  // Rows of datasets tell whether they are mounted.
  useModel(client.place);
  useSignal(client.stream.stateChanged);
  const texts = sectionTexts(kind, trans);
  const isStale =
    client.stream.state === 'reconnecting' ||
    (list.isLoaded && list.error !== null);
  return (
    <div className="kpl-Section-content" data-stale={isStale || undefined}>
      {isSearching && (
        <SearchBox
          label={trans.__('Search %1', texts.title)}
          onChange={value => (list.search = value)}
        />
      )}
      {kind === 'images' && <CatalogNotice />}
      {!list.isLoaded && list.error && (
        <ErrorNotice error={list.error} retry={() => void list.refresh()} />
      )}
      {!list.isLoaded && !list.error && <Skeleton />}
      {list.isLoaded && list.items.length === 0 && (
        <Empty
          text={list.search ? trans.__('Nothing of this name.') : texts.empty}
          action={list.search ? undefined : texts.add}
          onAction={() => void commands.execute(texts.command)}
        />
      )}
      {kind === 'images' && <BeingBuilt />}
      <Rows kind={kind} items={list.items} label={texts.title} />
      {list.hasMore && (
        <div className="kpl-Section-more">
          <Button look="link" onClick={() => void list.more()}>
            {trans.__('Show more')}
          </Button>
        </div>
      )}
      {kind === 'images' && list.isLoaded && (
        <div className="kpl-Section-more">
          <Button
            look="link"
            onClick={() => void commands.execute(CommandIDs.showBuilds)}
          >
            {trans.__('All builds')}
          </Button>
        </div>
      )}
    </div>
  );
}

/**
 * The images that are being made, above those that are there.
 */
function BeingBuilt(): JSX.Element | null {
  const { client, trans } = useKpl();
  const list = client.lists.builds;
  useModel(list);
  const active = list.items.filter(
    ({ for_catalog, state }) =>
      for_catalog && (state === 'queued' || state === 'running')
  );
  return active.length > 0 ? (
    <Rows kind="builds" items={active} label={trans.__('Being built')} />
  ) : null;
}

/**
 * The rows; arrows move among them, Enter opens, Delete asks.
 */
function Rows(props: {
  kind: ResourceKind;
  items: readonly IItem[];
  label: string;
}): JSX.Element {
  const { client, commands, trans } = useKpl();
  const { kind, items } = props;
  const [current, setCurrent] = React.useState<number | null>(null);
  const focused = items.some(item => item.id === current)
    ? current
    : items[0]?.id;
  const open = (id: number): void => {
    void commands.execute(CommandIDs.openDetail, { kind, id });
  };
  const onKeyDown = (event: React.KeyboardEvent, item: IItem): void => {
    if (event.target !== event.currentTarget) {
      return;
    }
    const row = event.currentTarget;
    const moves: Record<string, Element | null | undefined> = {
      ArrowDown: row.nextElementSibling,
      ArrowUp: row.previousElementSibling,
      End: row.parentElement?.lastElementChild,
      Home: row.parentElement?.firstElementChild
    };
    if (event.key in moves) {
      event.preventDefault();
      (moves[event.key] as HTMLElement | null | undefined)?.focus();
    } else if (event.key === 'Enter') {
      open(item.id);
    } else if (event.key === 'Delete' && kind !== 'builds') {
      void commands.execute(CommandIDs.deleteResource, { kind, id: item.id });
    }
  };
  return (
    <ul className="kpl-Rows" aria-label={props.label}>
      {items.map(item => (
        <li
          key={item.id}
          className="kpl-Row"
          data-kind={kind}
          data-id={item.id}
          data-name={item.name}
          tabIndex={item.id === focused ? 0 : -1}
          onFocus={() => setCurrent(item.id)}
          onClick={() => open(item.id)}
          onKeyDown={event => onKeyDown(event, item)}
        >
          <RowContent
            kind={kind}
            item={item}
            row={describeRow(kind, item, client, trans)}
          />
        </li>
      ))}
    </ul>
  );
}

/**
 * Icon, name, one line of facts, and the actions that appear on hover and focus.
 */
function RowContent(props: {
  kind: ResourceKind;
  item: IItem;
  row: IRow;
}): JSX.Element {
  const { commands } = useKpl();
  const { kind, item, row } = props;
  const Icon = row.icon?.react;
  return (
    <>
      <span className="kpl-Row-icon">
        {row.letter ? (
          <Letter>{row.letter}</Letter>
        ) : Icon ? (
          <Icon tag={null} width="14px" height="14px" />
        ) : (
          <StateIcon state={row.state} kind={kind} />
        )}
      </span>
      <span className="kpl-Row-name" title={row.title}>
        {item.name}
      </span>
      {row.marker && (
        <span
          className="kpl-Row-marker"
          role="img"
          title={row.marker}
          aria-label={row.marker}
        >
          ●
        </span>
      )}
      <span
        className={classes(
          'kpl-Row-facts',
          row.state === 'failed' && 'kpl-mod-bad'
        )}
        title={row.facts}
      >
        {row.facts}
      </span>
      <span className="kpl-Row-actions">
        {row.actions.map(action => (
          <IconButton
            key={action.command}
            icon={action.icon}
            label={action.label}
            onClick={() =>
              void commands.execute(action.command, {
                kind,
                id: item.id,
                name: item.name
              })
            }
          />
        ))}
      </span>
    </>
  );
}

/**
 * The search box of a section; it asks the platform once typing pauses.
 */
function SearchBox(props: {
  label: string;
  onChange: (value: string) => void;
}): JSX.Element {
  const [value, setValue] = React.useState('');
  const latest = React.useRef(props.onChange);
  latest.current = props.onChange;
  React.useEffect(() => {
    const timer = window.setTimeout(() => latest.current(value.trim()), 200);
    return () => window.clearTimeout(timer);
  }, [value]);
  return (
    <input
      className="jp-mod-styled kpl-Section-search"
      type="search"
      autoFocus
      value={value}
      placeholder={props.label}
      aria-label={props.label}
      onChange={event => setValue(event.target.value)}
    />
  );
}
