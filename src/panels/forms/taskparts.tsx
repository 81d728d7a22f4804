import * as React from 'react';

import type { TranslationBundle } from '@jupyterlab/translation';

import type { PortView } from '../../api/types';
import { SelectField, TextField } from '../../components/form';
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
  nodes: number | null;
  processes: number | null;
  launch: string;
  environment: string;
  saveAs: Record<string, string>;
}

const MINUTES = { min: 1 };
const PRIORITY = { min: -100, max: 100 };
const NODES = { min: 1, max: 1024 };
const PROCESSES = { min: 1, max: 256 };

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
    of(trans.__('Nodes'), numberProblem(trans, values.nodes, NODES)) ??
    of(
      trans.__('Processes on each node'),
      numberProblem(trans, values.processes, PROCESSES)
    ) ??
    pairsProblem(trans, values.environment)
  );
}

/**
 * How many processes, and who starts them.
 */
function Distribution(props: {
  values: IAdvancedValues;
  onChange: (change: Partial<IAdvancedValues>) => void;
}): JSX.Element {
  const { trans } = useKpl();
  const { values, onChange } = props;
  const isSeveral = (values.nodes || 1) * (values.processes || 1) > 1;
  return (
    <>
      <div className="kpl-Form-row">
        <NumberField
          label={trans.__('Nodes')}
          value={values.nodes}
          {...NODES}
          placeholder="1"
          hint={trans.__('each has the limits')}
          onChange={nodes => onChange({ nodes })}
        />
        <NumberField
          label={trans.__('Processes on each node')}
          value={values.processes}
          {...PROCESSES}
          placeholder="1"
          hint={trans.__('they share its limits')}
          onChange={processes => onChange({ processes })}
        />
      </div>
      {isSeveral && (
        <SelectField
          label={trans.__('Processes are started by')}
          value={values.launch}
          onChange={launch => onChange({ launch })}
          options={[
            { value: '', label: trans.__('Whoever the command suggests') },
            {
              value: 'process',
              label: trans.__('The platform: the command once for each process')
            },
            {
              value: 'node',
              label: trans.__('The command: once on each node (torchrun)')
            }
          ]}
        />
      )}
    </>
  );
}

/**
 * Time limit, priority, processes, variables, names of outputs.
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
      <Distribution values={values} onChange={onChange} />
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
