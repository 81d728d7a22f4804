import * as React from 'react';

import type { BuildView, ImageDetail } from '../../api/types';
import { Empty, ErrorNotice, Skeleton } from '../../components/basic';
import { ResourceLink } from '../../components/links';
import { useKpl } from '../../context';
import { ago } from '../../format';
import type { IRemote } from '../../hooks';
import { useNow, useRemote } from '../../hooks';
import { useEventsOf } from '../../hooks/events';
import { BuildTable } from '../builds/table';

/**
 * Whether an image was made by the platform.
 */
export function isMade(image: Pick<ImageDetail, 'source'>): boolean {
  return ['built', 'loaded', 'saved'].includes(image.source);
}

/**
 * The builds of an image, newest first, with those that failed; only its owner and
 * administrators see them.
 */
function useBuildsOf(image: ImageDetail): IRemote<BuildView[]> {
  const { client } = useKpl();
  const { id, name, owner } = image;
  return useRemote(
    isMade(image)
      ? async () => {
          const { items } = await client.builds.list({ name });
          return items.filter(
            build =>
              build.image_id === id ||
              (build.image_id === null && build.owner === owner)
          );
        }
      : null,
    `builds-of/${id}`,
    useEventsOf('builds')
  );
}

/**
 * The builds of an image.
 */
export function ImageBuilds(props: { image: ImageDetail }): JSX.Element {
  const { trans } = useKpl();
  const { value, error, reload } = useBuildsOf(props.image);
  if (!value) {
    return error ? <ErrorNotice error={error} retry={reload} /> : <Skeleton />;
  }
  return value.length > 0 ? (
    <BuildTable builds={value} />
  ) : (
    <Empty
      text={trans.__(
        'There is no build of this image that you can see; those of others are seen by their owners and administrators.'
      )}
    />
  );
}

/**
 * The build that an image came from, as a link to its log; nothing where it cannot be seen.
 */
export function CameFrom(props: { image: ImageDetail }): JSX.Element | null {
  const { trans } = useKpl();
  const now = useNow();
  const made = useBuildsOf(props.image).value?.find(
    ({ state }) => state === 'succeeded'
  );
  return made ? (
    <ResourceLink
      kind="builds"
      id={made.id}
      name={trans.__('Build, %1', ago(trans, made.created_at, now))}
    />
  ) : null;
}
