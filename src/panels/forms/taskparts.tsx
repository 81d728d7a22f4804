import * as React from 'react';

import type { PortView, Resources } from '../../api/types';
import {
  Field,
  NumberField,
  TextField,
  fieldError
} from '../../components/form';
import { useKpl } from '../../context';
import type { PlatformError } from '../../request';

/**
 * Ceilings that can be set for a run.
 */
interface ILimitValues {
  cpu: number | null;
  memory: number | null;
  gpu: number | null;
}

/**
 * CPU, memory and GPU; empty fields stand for what the function declares.
 */
export function Limits(props: {
  values: ILimitValues;
  defaults: Pick<Resources, 'cpu' | 'memory' | 'gpu'>;
  onChange: (change: Partial<ILimitValues>) => void;
  error: PlatformError | null;
}): JSX.Element {
  const { client, trans } = useKpl();
  const { values, defaults, onChange, error } = props;
  const hasGpu = (client.place.capacity?.gpu.limit ?? 0) > 0;
  return (
    <div className="kpl-Form-row">
      <NumberField
        label={trans.__('CPU cores')}
        value={values.cpu}
        step={0.5}
        min={0.5}
        placeholder={String(defaults.cpu)}
        error={fieldError(error, 'resources.cpu')}
        hint={trans.__('slow at this limit')}
        onChange={cpu => onChange({ cpu })}
      />
      <NumberField
        label={trans.__('Memory, MiB')}
        value={values.memory}
        min={16}
        step={256}
        placeholder={String(defaults.memory)}
        error={fieldError(error, 'resources.memory')}
        hint={trans.__('killed above it')}
        onChange={memory => onChange({ memory })}
      />
      {(hasGpu || defaults.gpu > 0) && (
        <NumberField
          label={trans.__('GPUs')}
          value={values.gpu}
          placeholder={String(defaults.gpu)}
          error={fieldError(error, 'resources.gpu')}
          onChange={gpu => onChange({ gpu })}
        />
      )}
    </div>
  );
}

/**
 * What few change; folded.
 */
interface IAdvancedValues {
  description: string;
  timeLimitMinutes: number | null;
  priority: number | null;
  environment: string;
  saveAs: Record<string, string>;
}

/**
 * Time limit, priority, variables, names of outputs.
 */
export function Advanced(props: {
  values: IAdvancedValues;
  outputs: PortView[];
  onChange: (change: Partial<IAdvancedValues>) => void;
}): JSX.Element {
  const { trans } = useKpl();
  const { values, outputs, onChange } = props;
  return (
    <details className="kpl-Fold">
      <summary>{trans.__('Advanced')}</summary>
      <div className="kpl-Form-row">
        <NumberField
          label={trans.__('Time limit, minutes')}
          value={values.timeLimitMinutes}
          min={1}
          placeholder={trans.__('none')}
          onChange={timeLimitMinutes => onChange({ timeLimitMinutes })}
        />
        <NumberField
          label={trans.__('Priority')}
          value={values.priority}
          min={-100}
          placeholder="0"
          hint={trans.__('higher runs first')}
          onChange={priority => onChange({ priority })}
        />
      </div>
      {outputs
        .filter(port => port.kind !== 'files')
        .map(port => (
          <TextField
            key={port.key}
            label={
              port.kind === 'dataset'
                ? trans.__('Save output “%1” as dataset', port.name)
                : trans.__('Save output “%1” as model', port.name)
            }
            value={values.saveAs[port.key] ?? ''}
            placeholder={trans.__('named after the code')}
            onChange={name =>
              onChange({ saveAs: { ...values.saveAs, [port.key]: name } })
            }
          />
        ))}
      <Field
        label={trans.__('Environment variables')}
        hint={trans.__('one KEY=VALUE a line')}
      >
        {(id, note) => (
          <textarea
            id={id}
            className="jp-mod-styled"
            rows={3}
            value={values.environment}
            aria-describedby={note}
            onChange={event => onChange({ environment: event.target.value })}
          />
        )}
      </Field>
      <TextField
        label={trans.__('Description')}
        value={values.description}
        onChange={description => onChange({ description })}
      />
    </details>
  );
}
