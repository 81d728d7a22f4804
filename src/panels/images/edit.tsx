import * as React from 'react';

import type { ImageDetail } from '../../api/types';
import { Button, CopyBlock, ErrorNotice, Notice } from '../../components/basic';
import { useKpl } from '../../context';
import { useAction } from '../../hooks';
import { keepsCatalog, mayChangeImage, useMe } from '../../hooks/me';
import type { ResourceDetail } from '../../models/detail';
import { wrapped } from '../forms/taskbody';
import { ImageFieldset } from './fields';
import type { IImageValues } from './values';
import { changedFields, optionsOf, problemsOf, valuesOf } from './values';

/**
 * What may be said about an image, for those who decide about it; the reason for all others.
 */
export function EditImage(props: {
  image: ImageDetail;
  model: ResourceDetail<ImageDetail>;

  /**
   * What was typed and is not saved; null for nothing.
   */
  draft: IImageValues | null;
  onDraft: (draft: IImageValues | null) => void;
}): JSX.Element {
  const { client, trans } = useKpl();
  const { image, model, draft, onDraft } = props;
  const me = useMe();
  const action = useAction();
  const before = valuesOf(image);
  const values = draft ?? before;
  const changes = changedFields(values, before);
  const isChanged = Object.keys(changes).length > 0;
  const [problem = null] = Object.values(problemsOf(trans, values));
  if (image.source === 'file') {
    return <KeptInFile />;
  }
  if (me && !mayChangeImage(me, image)) {
    return (
      <Notice tone="info">
        {trans.__(
          'This image belongs to %1; only they or an administrator can change it.',
          image.owner
        )}
      </Notice>
    );
  }
  const save = async (): Promise<void> => {
    const changed = await client.images.update(image.id, changes);
    model.put(changed);
    client.lists.images.put(changed);
    onDraft(null);
  };
  return (
    <form
      className="kpl-Columns"
      noValidate
      onSubmit={event => {
        event.preventDefault();
        if (isChanged && !problem && !action.isBusy) {
          action.run(save);
        }
      }}
    >
      <div className="kpl-Narrow">
        <ImageFieldset
          values={values}
          onChange={part => onDraft({ ...values, ...part })}
          error={action.error}
          isKeeper={keepsCatalog(me)}
        />
      </div>
      <aside>
        {action.error && <ErrorNotice error={action.error} />}
        {isChanged && (
          <CopyBlock
            label={trans.__('The same in a terminal')}
            text={wrapped([
              'kpl',
              'image',
              'set',
              image.name,
              ...optionsOf(changes)
            ])}
          />
        )}
        <p className="kpl-quiet" role="status">
          {problem ?? (isChanged ? '' : trans.__('Nothing is changed.'))}
        </p>
        <div className="kpl-Inline">
          <Button
            type="submit"
            look="accept"
            disabled={!isChanged || problem !== null || action.isBusy}
          >
            {trans.__('Save')}
          </Button>
          {isChanged && (
            <Button disabled={action.isBusy} onClick={() => onDraft(null)}>
              {trans.__('Discard')}
            </Button>
          )}
        </div>
      </aside>
    </form>
  );
}

/**
 * Why an entry of the administrator's file cannot be changed here.
 */
function KeptInFile(): JSX.Element {
  const { client, trans } = useKpl();
  const file = client.catalog.value?.file ?? 'images.yml';
  return (
    <Notice
      tone="info"
      title={trans.__('This image stands in the catalog file %1', file)}
    >
      {trans.__(
        'An administrator changes it there; a change is seen here at once. Taking it offline and removing it are done there, too.'
      )}
    </Notice>
  );
}
