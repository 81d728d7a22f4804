import * as React from 'react';

import { ErrorNotice, Skeleton } from '../../components/basic';
import { Summary } from '../../components/form';
import { useKpl } from '../../context';
import { useRemote } from '../../hooks';
import type { IFormProps } from '.';
import { EntryForm, useEntry } from './entry';
import { wrapped } from './taskbody';

/**
 * Save what was installed in this notebook server as an image of the catalog.
 */
export function EnvironmentForm({ onDone }: IFormProps): JSX.Element {
  const { client, trans } = useKpl();
  const found = useRemote(() => client.local.environment(), 'environment');
  const entry = useEntry();
  const unsaved = found.value;
  const submit = async (): Promise<void> => {
    if (unsaved) {
      const build = await client.builds.create({
        ...entry.facts,
        name: entry.name.value,
        server: unsaved.server,
        requirements: `${unsaved.requirements.join('\n')}\n`
      });
      client.lists.builds.put(build);
      onDone('builds', build.id);
    }
  };
  return (
    <EntryForm
      entry={entry}
      title={trans.__('Save environment')}
      intro={trans.__(
        'Makes an image of this notebook server: the image that it was started from, and what was installed since. Files of your home are not part of it; they are there anyway.'
      )}
      submit={trans.__('Save')}
      missing={
        unsaved
          ? null
          : found.isLoading
            ? trans.__('Looking at what is installed…')
            : trans.__('There is nothing that can be saved.')
      }
      onSubmit={submit}
      summary={
        <Summary
          command={wrapped([
            'kpl',
            'image',
            'save',
            entry.name.value || 'NAME',
            ...entry.options
          ])}
        />
      }
    >
      {found.error ? (
        <ErrorNotice error={found.error} retry={found.reload} />
      ) : unsaved ? (
        <section aria-label={trans.__('Installed since the start')}>
          <h3>
            {trans._n(
              '%1 package beyond %2',
              '%1 packages beyond %2',
              unsaved.requirements.length,
              unsaved.image
            )}
          </h3>
          <ul className="kpl-Requirements">
            {unsaved.requirements.map(one => (
              <li key={one}>
                <code>{one}</code>
              </li>
            ))}
          </ul>
        </section>
      ) : (
        <Skeleton rows={3} />
      )}
    </EntryForm>
  );
}
