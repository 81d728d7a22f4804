import { refreshIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import type { ImageDetail } from '../../api/types';
import { Button, ErrorNotice, Notice, StateChip } from '../../components/basic';
import { Page } from '../../components/page';
import { useKpl } from '../../context';
import { useAction } from '../../hooks';
import { mayChangeImage, useMe } from '../../hooks/me';
import { imageIcon } from '../../icons';
import type { ResourceDetail } from '../../models/detail';
import { said } from '../../said';
import { reasonWords } from '../../states';
import { LastActions } from '../actions';
import type { IPageProps } from '../pages';
import { ImageBuilds, isMade } from './builds';
import { CatalogNotice } from './catalog';
import { EditImage } from './edit';
import { acceleratorWords, contentWords } from './facts';
import { ImageOverview } from './overview';
import { Packages } from './packages';
import type { IImageValues } from './values';

/**
 * The page of an image of the catalog.
 */
export function ImagePage(props: IPageProps<ImageDetail>): JSX.Element {
  const { client, trans } = useKpl();
  const { model, onTab } = props;
  const [draft, setDraft] = React.useState<IImageValues | null>(null);
  const { catalog } = client;
  React.useEffect(() => {
    const activity = catalog.activate();
    return () => activity.dispose();
  }, [catalog]);
  return (
    <Page
      icon={imageIcon}
      {...props}
      parts={image => ({
        facts: (
          <>
            <StateChip state={image.state} kind="images" />
            {image.title !== image.name && <span>{image.title}</span>}
            <span>{contentWords(image).join(' · ')}</span>
            <span>{acceleratorWords(trans, image.accelerator)}</span>
            <span>{image.owner}</span>
          </>
        ),
        actions: <Actions image={image} model={model} />,
        notice: (
          <>
            {image.state === 'failed' && <Failure image={image} />}
            {image.source === 'file' && <CatalogNotice />}
          </>
        ),
        tabs: [
          {
            id: 'overview',
            label: trans.__('Overview'),
            content: () => (
              <ImageOverview
                image={image}
                onPackages={() => onTab('packages')}
              />
            )
          },
          {
            id: 'packages',
            label: trans.__('Packages'),
            content: () => <Packages packages={image.packages} />
          },
          ...(isMade(image)
            ? [
                {
                  id: 'builds',
                  label: trans.__('Builds'),
                  content: () => <ImageBuilds image={image} />
                }
              ]
            : []),
          {
            id: 'edit',
            label: trans.__('Edit'),
            content: () => (
              <EditImage
                image={image}
                model={model}
                draft={draft}
                onDraft={setDraft}
              />
            )
          }
        ]
      })}
    />
  );
}

/**
 * Take offline or bring back, look again, delete, copy the link; for those who may.
 */
function Actions(props: {
  image: ImageDetail;
  model: ResourceDetail<ImageDetail>;
}): JSX.Element {
  const { client, trans } = useKpl();
  const { image, model } = props;
  const me = useMe();
  const action = useAction();
  const isMine = mayChangeImage(me, image);
  const isOwn = isMine && image.source !== 'file';
  const isOffline = image.state === 'offline';
  const change = (work: () => Promise<ImageDetail>): void =>
    action.run(async () => {
      const changed = await work();
      model.put(changed);
      client.lists.images.put(changed);
    });
  return (
    <>
      {action.error && <ErrorNotice error={action.error} />}
      {isOwn && (isOffline || image.state === 'ready') && (
        <Button
          look={isOffline ? 'accept' : 'plain'}
          disabled={action.isBusy}
          title={
            isOffline
              ? undefined
              : trans.__('It stays in the list, and nothing new starts from it')
          }
          onClick={() =>
            change(() => client.images.update(image.id, { online: isOffline }))
          }
        >
          {isOffline ? trans.__('Bring online') : trans.__('Take offline')}
        </Button>
      )}
      {isMine && (
        <Button
          icon={refreshIcon}
          disabled={action.isBusy || image.state === 'preparing'}
          title={trans.__('What could not be had may be there by now')}
          onClick={() => change(() => client.images.look(image.id))}
        >
          {trans.__('Look again')}
        </Button>
      )}
      <LastActions
        args={{ kind: 'images', id: image.id, name: image.name }}
        canDelete={isOwn}
      />
    </>
  );
}

/**
 * Why nothing can start from it.
 */
function Failure(props: { image: ImageDetail }): JSX.Element {
  const { trans } = useKpl();
  const { image } = props;
  const me = useMe();
  return (
    <Notice tone="bad" title={reasonWords(trans, image.reason)}>
      <p>{said(trans, image.message)}</p>
      {mayChangeImage(me, image) && (
        <p>
          <strong>{trans.__('What to do:')}</strong>{' '}
          {trans.__('Correct what is wrong, then look again.')}
        </p>
      )}
    </Notice>
  );
}
