import * as React from 'react';

import type { IWatch } from '../../api/local';
import {
  FormPage,
  PathField,
  Summary,
  TextField,
  fieldError
} from '../../components/form';
import { useKpl } from '../../context';
import { useSending } from '../../hooks/form';
import { homePath, nameOf, pathProblem } from '../../names';
import { literal } from '../../snippets';
import type { IFormProps } from '.';
import { NameField, useName } from './name';
import { wrapped } from './taskbody';

/**
 * A new model, or the next version of one, from a folder or file of the home.
 */
export function ModelForm(props: IFormProps): JSX.Element {
  const { client, trans } = useKpl();
  const { start, onDone } = props;
  const action = useSending();
  const [path, setPath] = React.useState(start.path ?? '');
  const [description, setDescription] = React.useState('');
  const name = useName(nameOf(path), action.error);
  const submit = async (watch: IWatch): Promise<void> => {
    const model = await client.local.createModel(
      {
        path: homePath(path),
        name: name.value,
        description
      },
      watch
    );
    client.lists.models.put(model);
    onDone('models', model.id);
  };
  return (
    <FormPage
      title={trans.__('Save model')}
      intro={trans.__(
        'Copies a folder or file into the platform as a version that never changes.'
      )}
      submit={trans.__('Save')}
      action={action}
      missing={
        path === '' ? trans.__('Choose a folder or file.') : name.missing
      }
      onSubmit={() => action.run(submit)}
      summary={
        <Summary
          command={wrapped([
            'kpl',
            'model',
            'create',
            name.value || 'NAME',
            '--from',
            `~/${homePath(path) || 'PATH'}`
          ])}
          python={[
            'from pathlib import Path',
            '',
            'from kpl_lab.client import connect',
            '',
            `model = connect().models.create(${literal(name.value || 'NAME')}, Path.home() / ${literal(homePath(path) || 'PATH')})`,
            'print(model.version)'
          ].join('\n')}
        />
      }
    >
      <PathField
        label={trans.__('Folder or file')}
        value={path}
        onChange={setPath}
        error={
          pathProblem(trans, action.error, homePath(path)) ??
          fieldError(action.error, 'path')
        }
      />
      <NameField name={name} />
      <TextField
        label={trans.__('Description')}
        value={description}
        onChange={setDescription}
      />
    </FormPage>
  );
}
