import * as React from 'react';

import { ErrorNotice, Skeleton } from '../../components/basic';
import {
  FormPage,
  Summary,
  TextField,
  fieldError
} from '../../components/form';
import { useKpl } from '../../context';
import { useRemote } from '../../hooks';
import { useSending } from '../../hooks/form';
import { keepsCatalog, useMe } from '../../hooks/me';
import { nameProblem } from '../../names';
import { ImageFieldset } from '../images/fields';
import type { IImageValues } from '../images/values';
import {
  NO_VALUES,
  changedFields,
  optionsOf,
  problemsOf
} from '../images/values';
import type { IFormProps } from '.';
import { wrapped } from './taskbody';

/**
 * Save what was installed in this notebook server as an image of the catalog.
 */
export function EnvironmentForm({ onDone }: IFormProps): JSX.Element {
  const { client, trans } = useKpl();
  const action = useSending();
  const me = useMe();
  const found = useRemote(() => client.local.environment(), 'environment');
  const [name, setName] = React.useState('');
  const [values, setValues] = React.useState<IImageValues>(NO_VALUES);
  const nameError = nameProblem(trans, name);
  const facts = changedFields(values, NO_VALUES);
  const [problem = null] = Object.values(problemsOf(trans, values));
  const unsaved = found.value;
  const missing = !unsaved
    ? found.isLoading
      ? trans.__('Looking at what is installed…')
      : trans.__('There is nothing that can be saved.')
    : name.trim() === ''
      ? trans.__('Give it a name.')
      : (nameError ?? problem);
  const submit = async (): Promise<void> => {
    if (unsaved) {
      const build = await client.builds.create({
        ...facts,
        name: name.trim(),
        server: unsaved.server,
        requirements: `${unsaved.requirements.join('\n')}\n`
      });
      client.lists.builds.put(build);
      onDone('builds', build.id);
    }
  };
  return (
    <FormPage
      title={trans.__('Save environment')}
      intro={trans.__(
        'Makes an image of this notebook server: the image that it was started from, and what was installed since. Files of your home are not part of it; they are there anyway.'
      )}
      submit={trans.__('Save')}
      action={action}
      missing={missing}
      onSubmit={() => action.run(submit)}
      summary={
        <Summary
          command={wrapped([
            'kpl',
            'image',
            'save',
            name.trim() || 'NAME',
            ...optionsOf(facts)
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
      <TextField
        label={trans.__('Name')}
        value={name}
        hint={trans.__('How commands and environment.yml call it.')}
        error={nameError ?? fieldError(action.error, 'name')}
        onChange={setName}
      />
      <ImageFieldset
        values={values}
        onChange={part => setValues(now => ({ ...now, ...part }))}
        error={action.error}
        isKeeper={keepsCatalog(me)}
      />
    </FormPage>
  );
}
