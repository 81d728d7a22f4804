import { ReactWidget } from '@jupyterlab/ui-components';
import * as React from 'react';

import { CommandIDs } from '../../commandids';
import { Button, Empty, ErrorNotice, Skeleton } from '../../components/basic';
import type { IKplContext } from '../../context';
import { KplContext, useKpl } from '../../context';
import { useModel } from '../../hooks';
import { BuildTable } from './table';

/**
 * All that were ordered for the catalog, newest first, those that have ended too.
 */
export function BuildList(): JSX.Element {
  const { client, commands, trans } = useKpl();
  const list = client.lists.builds;
  useModel(list);
  React.useEffect(() => {
    const activity = list.activate();
    return () => activity.dispose();
  }, [list]);
  const builds = list.items.filter(build => build.for_catalog);
  const isEmpty = list.isLoaded && builds.length === 0;
  const isLookingOn = isEmpty && list.hasMore;
  React.useEffect(() => {
    // What tasks need is built, too, and may fill whole pages.
    if (isLookingOn) {
      void list.more();
    }
  }, [isLookingOn, list, list.items.length]);
  return (
    <div className="kpl-Page">
      <h1>{trans.__('Builds')}</h1>
      {list.error && (
        <ErrorNotice error={list.error} retry={() => void list.refresh()} />
      )}
      {((!list.isLoaded && !list.error) || isLookingOn) && (
        <Skeleton rows={4} />
      )}
      {isEmpty && !isLookingOn && (
        <Empty
          text={trans.__(
            'Images that you build, load or save stand here, with their logs, for as long as the platform keeps them.'
          )}
          action={trans.__('Build image…')}
          onAction={() => void commands.execute(CommandIDs.buildImage)}
        />
      )}
      {builds.length > 0 && <BuildTable builds={builds} />}
      {builds.length > 0 && list.hasMore && (
        <div className="kpl-Section-more">
          <Button look="link" onClick={() => void list.more()}>
            {trans.__('Show more')}
          </Button>
        </div>
      )}
    </div>
  );
}

/**
 * The page as a widget.
 */
export function buildsWidget(context: IKplContext): ReactWidget {
  const widget = ReactWidget.create(
    <KplContext.Provider value={context}>
      <BuildList />
    </KplContext.Provider>
  );
  widget.addClass('kpl-Main');
  return widget;
}
