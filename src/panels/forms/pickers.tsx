import * as React from 'react';

import type { PortView } from '../../api/types';
import { SelectField } from '../../components/form';
import { useKpl } from '../../context';
import { useModel } from '../../hooks';
import type { IItem, ResourceList } from '../../models/list';

/**
 * The names of what is ready, newest first, read while the picker is shown.
 */
export function useReadyNames(
  kind: 'algorithms' | 'datasets' | 'models'
): string[] {
  const { client } = useKpl();
  const list = client.lists[kind] as unknown as ResourceList<
    IItem & { state: string; version: number | null }
  >;
  useModel(list);
  React.useEffect(() => {
    const activity = list.activate();
    return () => activity.dispose();
  }, [list]);
  return list.items
    .filter(item => item.state === 'ready' || item.version !== null)
    .map(item => item.name);
}

/**
 * What an input of a function is filled with: a dataset or a model.
 */
export function InputPicker(props: {
  port: PortView;
  value: string;
  onChange: (reference: string) => void;
  error?: string | null;
}): JSX.Element {
  const { trans } = useKpl();
  const { port, value, onChange, error } = props;
  const datasets = useReadyNames('datasets');
  const models = useReadyNames('models');
  const references =
    port.kind === 'model'
      ? models.map(name => `model:${name}`)
      : datasets.map(name => `dataset:${name}`);
  const options = references.map(reference => ({
    value: reference,
    label: reference.slice(reference.indexOf(':') + 1)
  }));
  if (value && !references.includes(value)) {
    options.unshift({
      value,
      label: value.slice(value.indexOf(':') + 1)
    });
  }
  return (
    <SelectField
      label={port.name}
      value={value}
      onChange={onChange}
      error={error}
      hint={
        references.length === 0
          ? port.kind === 'model'
            ? trans.__('There is no model yet.')
            : trans.__('There is no dataset yet.')
          : undefined
      }
      options={[
        {
          value: '',
          label: port.optional ? trans.__('None') : trans.__('Choose…')
        },
        ...options
      ]}
    />
  );
}
