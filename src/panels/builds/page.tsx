import { buildIcon, stopIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import type { BuildView } from '../../api/types';
import {
  Button,
  ErrorNotice,
  Notice,
  StateChip,
  TimeAgo
} from '../../components/basic';
import { ResourceLink } from '../../components/links';
import { LogView } from '../../components/logview';
import { Page } from '../../components/page';
import { useKpl } from '../../context';
import { useAction } from '../../hooks';
import { useLog } from '../../hooks/log';
import type { ResourceDetail } from '../../models/detail';
import { reasonWords } from '../../reasons';
import { said } from '../../said';
import { sourceOfBuildWords } from '../../words';
import { LastActions } from '../actions';
import type { IPageProps } from '../pages';

/**
 * The page of the making of an image: its log, and the image when it is done.
 */
export function BuildPage(props: IPageProps<BuildView>): JSX.Element {
  const { trans } = useKpl();
  const { model } = props;
  return (
    <Page
      icon={buildIcon}
      {...props}
      parts={build => ({
        facts: (
          <>
            <StateChip state={build.state} kind="builds" />
            <span>{sourceOfBuildWords(trans, build.kind)}</span>
            {build.pushed_to && (
              <span>{trans.__('sent to %1', build.pushed_to)}</span>
            )}
            <span>
              <TimeAgo time={build.created_at} />
            </span>
            <span>{build.owner}</span>
          </>
        ),
        actions: <Actions build={build} model={model} />,
        notice: <Outcome build={build} />,
        tabs: [
          {
            id: 'log',
            label: trans.__('Log'),
            fills: true,
            content: () => <BuildLog build={build} />
          }
        ]
      })}
    />
  );
}

/**
 * Stop, copy the link.
 */
function Actions(props: {
  build: BuildView;
  model: ResourceDetail<BuildView>;
}): JSX.Element {
  const { client, trans } = useKpl();
  const { build, model } = props;
  const action = useAction();
  const isActive = build.state === 'queued' || build.state === 'running';
  return (
    <>
      {action.error && <ErrorNotice error={action.error} />}
      {isActive && build.for_catalog && (
        <Button
          icon={stopIcon}
          disabled={action.isBusy}
          onClick={() =>
            action.run(async () =>
              model.put(await client.builds.stop(build.id))
            )
          }
        >
          {trans.__('Stop')}
        </Button>
      )}
      <LastActions
        args={{ kind: 'builds', id: build.id, name: build.name }}
        canDelete={false}
      />
    </>
  );
}

/**
 * What it waits for, what it has made, or why it has not.
 */
function Outcome(props: { build: BuildView }): JSX.Element | null {
  const { trans } = useKpl();
  const { build } = props;
  if (build.image_id !== null && build.state === 'succeeded') {
    return (
      <Notice tone="info">
        <span className="kpl-Inline">
          {trans.__('The image is in the catalog:')}
          <ResourceLink kind="images" id={build.image_id} name={build.name} />
        </span>
      </Notice>
    );
  }
  if (build.state === 'failed') {
    return (
      <Notice tone="bad" title={reasonWords(trans, build.reason)}>
        {said(trans, build.message)}
      </Notice>
    );
  }
  return ['queued', 'running'].includes(build.state) && build.message ? (
    <Notice tone="info">{said(trans, build.message)}</Notice>
  ) : null;
}

/**
 * The log, followed.
 */
function BuildLog(props: { build: BuildView }): JSX.Element {
  const { client } = useKpl();
  const { id, name } = props.build;
  const model = useLog(`builds:${id}`, offset => client.builds.log(id, offset));
  return model ? <LogView model={model} filename={`${name}.log`} /> : <></>;
}
