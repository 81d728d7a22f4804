import * as React from 'react';

import type { IWatch } from '../../api/local';
import { ErrorNotice, Skeleton } from '../../components/basic';
import {
  FormPage,
  PathField,
  Summary,
  TextField,
  fieldError
} from '../../components/form';
import { useKpl } from '../../context';
import { useRemote } from '../../hooks';
import { useSending, useSettled } from '../../hooks/form';
import { homePath, nameOf, pathProblem } from '../../names';
import { literal } from '../../snippets';
import { Functions } from '../algorithms/functions';
import type { IFormProps } from '.';
import { NameField, useName } from './name';
import { FolderNotices } from './notices';
import { wrapped } from './taskbody';

/**
 * Publish a code folder; it is checked as it is chosen, and built when it is sent.
 */
export function AlgorithmForm(props: IFormProps): JSX.Element {
  const { client, trans } = useKpl();
  const { start, onDone } = props;
  const action = useSending();
  const [path, setPath] = React.useState(start.path ?? '');
  const [description, setDescription] = React.useState('');
  const settled = useSettled(homePath(path));
  const form = useRemote(
    settled ? () => client.local.folder(settled) : null,
    `publish/${settled}`
  );
  const badPath = pathProblem(trans, form.error, settled);
  const name = useName(nameOf(path), action.error);
  const submit = async (watch: IWatch): Promise<void> => {
    const algorithm = await client.local.createAlgorithm(
      {
        path: homePath(path),
        name: name.value,
        description
      },
      watch
    );
    client.lists.algorithms.put(algorithm);
    onDone('algorithms', algorithm.id);
  };
  return (
    <FormPage
      title={trans.__('Publish algorithm')}
      intro={trans.__(
        'Checks the folder, builds its environment, and keeps both as the next version. A failed build leaves the version before in use.'
      )}
      submit={trans.__('Publish')}
      action={action}
      missing={
        path === ''
          ? trans.__('Choose a folder.')
          : form.error
            ? trans.__('The folder cannot be published as it is.')
            : name.missing
      }
      onSubmit={() => action.run(submit)}
      summary={
        <Summary
          command={wrapped([
            'kpl',
            'algorithm',
            'publish',
            `~/${homePath(path) || 'DIR'}`,
            '--name',
            name.value || 'NAME'
          ])}
          python={[
            'from pathlib import Path',
            '',
            'from kpl_lab.client import connect',
            '',
            `algorithm = connect().algorithms.publish(Path.home() / ${literal(homePath(path) || 'DIR')}, name=${literal(name.value || 'NAME')})`,
            'print(algorithm.version)'
          ].join('\n')}
        />
      }
    >
      <PathField
        label={trans.__('Folder')}
        value={path}
        onChange={setPath}
        error={badPath ?? fieldError(action.error, 'path')}
        hint={trans.__(
          'It holds environment.yml and, if the code has any, parameter.yml.'
        )}
      />
      <NameField name={name} />
      <TextField
        label={trans.__('Description')}
        value={description}
        onChange={setDescription}
      />
      {form.error && !badPath && (
        <ErrorNotice error={form.error} retry={form.reload} />
      )}
      {settled && form.isLoading && <Skeleton rows={4} />}
      {form.value && <FolderNotices form={form.value} />}
      {form.value && <Functions form={form.value} />}
    </FormPage>
  );
}
