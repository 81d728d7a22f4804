import * as React from 'react';

import type { TranslationBundle } from '@jupyterlab/translation';

import type { PortView } from '../../api/types';
import { TextField } from '../../components/form';
import { NumberField, numberProblem } from '../../components/number';
import { PairsField } from '../../components/pairs';
import { useKpl } from '../../context';
import { pairsProblem } from '../../pairs';

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

const MINUTES = { min: 1 };
const PRIORITY = { min: -100, max: 100 };

/**
 * What stops a form from being sent, of what few change; null for nothing.
 */
export function advancedProblem(
  trans: TranslationBundle,
  values: IAdvancedValues
): string | null {
  const of = (label: string, problem: string | null): string | null =>
    problem && trans.__('%1: %2', label, problem);
  return (
    of(
      trans.__('Time limit, minutes'),
      numberProblem(trans, values.timeLimitMinutes, MINUTES)
    ) ??
    of(trans.__('Priority'), numberProblem(trans, values.priority, PRIORITY)) ??
    pairsProblem(trans, values.environment)
  );
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
          {...MINUTES}
          placeholder={trans.__('none')}
          onChange={timeLimitMinutes => onChange({ timeLimitMinutes })}
        />
        <NumberField
          label={trans.__('Priority')}
          value={values.priority}
          {...PRIORITY}
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
      <PairsField
        label={trans.__('Environment variables')}
        value={values.environment}
        error={pairsProblem(trans, values.environment)}
        onChange={environment => onChange({ environment })}
      />
      <TextField
        label={trans.__('Description')}
        value={values.description}
        onChange={description => onChange({ description })}
      />
    </details>
  );
}
