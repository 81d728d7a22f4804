import * as React from 'react';

import type { IWatch } from '../../api/local';
import type { DatasetCreate } from '../../api/types';
import {
  FormPage,
  PathField,
  SelectField,
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
 * A new dataset, or the next version of one, from a folder of the home.
 */
export function DatasetForm(props: IFormProps): JSX.Element {
  const { client, trans } = useKpl();
  const { start, onDone } = props;
  const action = useSending();
  const [path, setPath] = React.useState(start.path ?? '');
  const [format, setFormat] = React.useState('auto');
  const [purpose, setPurpose] = React.useState('classification');
  const [description, setDescription] = React.useState('');
  const name = useName(nameOf(path), action.error);
  const submit = async (watch: IWatch): Promise<void> => {
    const dataset = await client.local.createDataset(
      {
        path: homePath(path),
        name: name.value,
        format: format as DatasetCreate['format'],
        purpose,
        description
      },
      watch
    );
    client.lists.datasets.put(dataset);
    onDone('datasets', dataset.id);
  };
  const words = ['kpl', 'dataset', 'create', name.value || 'NAME', '--from'];
  words.push(`~/${homePath(path) || 'PATH'}`);
  if (format !== 'auto') {
    words.push('--format', format);
  }
  words.push('--purpose', purpose);
  const more = [
    ...(format === 'auto' ? [] : [`format=${literal(format)}`]),
    `purpose=${literal(purpose)}`
  ];
  return (
    <FormPage
      title={trans.__('New dataset')}
      intro={trans.__(
        'Copies a folder into the platform as records that never change. A name of yours that is taken becomes the next version.'
      )}
      submit={trans.__('Create')}
      action={action}
      missing={
        path === '' ? trans.__('Choose a folder or an archive.') : name.missing
      }
      onSubmit={() => action.run(submit)}
      summary={
        <Summary
          command={wrapped(words)}
          python={[
            'from pathlib import Path',
            '',
            'from kpl_lab.client import connect',
            '',
            'dataset = connect().datasets.create(',
            `    ${literal(name.value || 'NAME')},`,
            `    Path.home() / ${literal(homePath(path) || 'PATH')},`,
            ...more.map(argument => `    ${argument},`),
            ')',
            'print(dataset.records)'
          ].join('\n')}
        />
      }
    >
      <PathField
        label={trans.__('Folder or archive')}
        value={path}
        onChange={setPath}
        error={
          pathProblem(trans, action.error, homePath(path)) ??
          fieldError(action.error, 'path')
        }
        hint={trans.__(
          'One folder per class, plain files, a KPL dataset, a zip or a tar.'
        )}
      />
      <NameField name={name} />
      <SelectField
        label={trans.__('Format')}
        value={format}
        onChange={setFormat}
        options={[
          { value: 'auto', label: trans.__('Detect') },
          {
            value: 'image-folder',
            label: trans.__('Pictures, one folder per class')
          },
          { value: 'files', label: trans.__('Plain files') },
          { value: 'kpl', label: trans.__('KPL dataset') }
        ]}
      />
      <SelectField
        label={trans.__('Purpose')}
        value={purpose}
        onChange={setPurpose}
        options={[
          { value: 'classification', label: trans.__('Image classification') },
          { value: 'detection', label: trans.__('Object detection') },
          { value: 'segmentation', label: trans.__('Segmentation') },
          { value: 'text', label: trans.__('Text classification') },
          { value: 'other', label: trans.__('Something else') }
        ]}
      />
      <TextField
        label={trans.__('Description')}
        value={description}
        onChange={setDescription}
      />
    </FormPage>
  );
}
