import type { LabIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import { useKpl } from '../context';
import { useModel, useSignal } from '../hooks';
import type { ResourceDetail } from '../models/detail';
import { said } from '../said';
import { Empty, ErrorNotice, Notice, Skeleton } from './basic';
import type { ITab } from './tabs';
import { Tabs } from './tabs';

/**
 * The head and the tabs of one resource's page.
 */
export interface IPageParts {
  /**
   * Under the name: state, age, owner.
   */
  facts: React.ReactNode;

  /**
   * The two or three buttons that matter now.
   */
  actions: React.ReactNode;

  /**
   * What must be seen before the tabs, e.g. why it failed.
   */
  notice?: React.ReactNode;

  /**
   * What the platform wants known, in its words, e.g. that another image stands in.
   */
  notices?: string[];

  tabs: ITab[];
}

/**
 * A page of one resource: reads it, then shows head and tabs, kept while reconnecting.
 */
export function Page<T extends { name: string }>(props: {
  icon: LabIcon;
  model: ResourceDetail<T>;
  tab: string;
  onTab: (tab: string) => void;
  parts: (value: T) => IPageParts;
}): JSX.Element {
  const { client, trans } = useKpl();
  const { model } = props;
  useModel(model);
  useSignal(client.stream.stateChanged);
  const value = model.value;
  if (model.isDeleted) {
    return (
      <div className="kpl-Page">
        <Empty
          text={trans.__(
            'This is not there any more, or it is not shared with you.'
          )}
        />
      </div>
    );
  }
  if (!value) {
    return (
      <div className="kpl-Page">
        {model.error ? (
          <ErrorNotice error={model.error} retry={() => void model.refresh()} />
        ) : (
          <Skeleton rows={5} />
        )}
      </div>
    );
  }
  const { facts, actions, notice, notices = [], tabs } = props.parts(value);
  const Icon = props.icon.react;
  const isStale =
    client.stream.state === 'reconnecting' || model.error !== null;
  return (
    <div className="kpl-Page" data-stale={isStale || undefined}>
      <header className="kpl-Page-head">
        <Icon tag="span" className="kpl-Page-icon" width="24px" />
        <div className="kpl-Page-title">
          <h1>{value.name}</h1>
          <div className="kpl-Page-facts">
            {facts}
            {isStale && (
              <span className="kpl-Page-stale" role="status">
                {trans.__('reconnecting…')}
              </span>
            )}
          </div>
        </div>
        <div className="kpl-Page-actions">{actions}</div>
      </header>
      {notice}
      {notices.map(text => (
        <Notice key={text} tone="info">
          {said(trans, text)}
        </Notice>
      ))}
      <Tabs
        label={value.name}
        tabs={tabs}
        current={props.tab}
        onChange={props.onTab}
      />
    </div>
  );
}
