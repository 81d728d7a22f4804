import * as React from 'react';

import type { IWatch } from '../../api/local';
import type { Body } from '../../api/common';
import type { FormDescription, ServiceCreate } from '../../api/types';
import { ErrorNotice, Skeleton } from '../../components/basic';
import {
  FormPage,
  PathField,
  SelectField,
  Summary,
  TextField,
  fieldError
} from '../../components/form';
import { NumberField, numberProblem } from '../../components/number';
import { useKpl } from '../../context';
import { useRemote } from '../../hooks';
import { useSending, useSettled } from '../../hooks/form';
import { homePath, nameProblem, pathProblem } from '../../names';
import { literal, pythonValue } from '../../snippets';
import type { IFormProps } from '.';
import { Limits, useLimits } from './limits';
import { FolderNotices } from './notices';
import { Parameters } from './parameters';
import { useReadyNames } from './pickers';
import type { Values } from './taskbody';
import {
  changedParameters,
  filledParameters,
  typedParameters,
  wrapped
} from './taskbody';

/**
 * Deploy a model with the deploy function of an algorithm or of a folder.
 */
export function ServiceForm(props: IFormProps): JSX.Element {
  const { client, trans } = useKpl();
  const { start, onDone } = props;
  const action = useSending();
  const models = useReadyNames('models');
  const algorithms = useReadyNames('algorithms');
  const [values, setValues] = React.useState<Private.IValues>({
    ...Private.NO_VALUES,
    model: start.model ?? '',
    algorithm: start.algorithm ?? '',
    path: start.path ?? '',
    name: (start.model ?? start.algorithm ?? '').split(':')[0]
  });
  const change = (part: Partial<Private.IValues>): void =>
    setValues(now => ({ ...now, ...part }));
  const path = useSettled(homePath(values.path));
  const { algorithm } = values;
  const form = useRemote<FormDescription | null>(
    algorithm
      ? async () => (await client.algorithms.get(algorithm.split(':')[0])).form
      : path
        ? () => client.local.folder(path)
        : null,
    algorithm ? `algorithm:${algorithm}` : `folder:${path}`
  );
  const badPath = algorithm ? null : pathProblem(trans, form.error, path);
  const deploy = form.value?.functions.find(item => item.name === 'deploy');
  const defaults = form.value?.parameter_defaults ?? {};
  // What cannot be run is not offered to be copied.
  const isChosen = Boolean(algorithm || path);
  const parameters = filledParameters(defaults, values.typed);
  const body = Private.body(values, changedParameters(parameters, defaults));
  const [isValid, setValid] = React.useState(true);
  const replicas = values.replicas || 1;
  const limits = useLimits(values, deploy?.resources, replicas);
  const countProblem =
    values.replicas === null
      ? trans.__('Write a number.')
      : numberProblem(trans, values.replicas, Private.REPLICAS);
  const nameError = nameProblem(trans, values.name);
  const needsModel = deploy?.inputs.some(port => !port.optional) ?? false;
  const missing = !(algorithm || path)
    ? trans.__('Choose the code first.')
    : !form.value
      ? form.error
        ? trans.__('The code cannot be used as it is.')
        : trans.__('Reading the code…')
      : !deploy
        ? trans.__('The code has no deploy function.')
        : needsModel && !values.model
          ? trans.__('Choose a model.')
          : values.name.trim() === ''
            ? trans.__('Give it a name.')
            : (nameError ??
              (countProblem &&
                trans.__('%1: %2', trans.__('Replicas'), countProblem)) ??
              limits.missing ??
              (isValid
                ? null
                : trans.__('A parameter is not as it should be.')));
  const submit = async (watch: IWatch): Promise<void> => {
    const service = algorithm
      ? await client.services.create({ ...body, algorithm })
      : await client.local.createService({ ...body, path }, watch);
    client.lists.services.put(service);
    onDone('services', service.id);
  };
  const names = (current: string, all: string[]): string[] => [
    ...new Set([current, ...all].filter(Boolean))
  ];
  return (
    <FormPage
      title={trans.__('Deploy service')}
      intro={trans.__(
        'Starts replicas that answer calls at an address that stays the same.'
      )}
      submit={trans.__('Deploy')}
      action={action}
      missing={missing}
      onSubmit={() => action.run(submit)}
      summary={
        <Summary
          demand={
            deploy && {
              cpu: (values.cpu || deploy.resources.cpu) * replicas,
              memory: (values.memory || deploy.resources.memory) * replicas,
              gpu: (values.gpu ?? deploy.resources.gpu) * replicas,
              waits: false
            }
          }
          command={isChosen ? Private.command(values, path) : undefined}
          python={isChosen ? Private.python(body, algorithm, path) : undefined}
        />
      }
    >
      <SelectField
        label={trans.__('Model')}
        value={values.model}
        error={fieldError(action.error, 'model')}
        onChange={model =>
          change({ model, name: values.name || model.split(':')[0] })
        }
        options={[
          {
            value: '',
            label: needsModel ? trans.__('Choose…') : trans.__('None')
          },
          ...names(values.model, models).map(name => ({
            value: name,
            label: name.includes(':') ? name : trans.__('%1 (newest)', name)
          }))
        ]}
      />
      <SelectField
        label={trans.__('Code')}
        value={algorithm}
        error={fieldError(action.error, 'algorithm')}
        onChange={chosen => change({ algorithm: chosen })}
        options={[
          { value: '', label: trans.__('A folder of mine') },
          ...names(algorithm, algorithms).map(name => ({
            value: name,
            label: trans.__('Algorithm %1', name)
          }))
        ]}
      />
      {!algorithm && (
        <PathField
          label={trans.__('Folder')}
          value={values.path}
          error={badPath ?? fieldError(action.error, 'path')}
          onChange={chosen => change({ path: chosen })}
        />
      )}
      {form.error && !badPath && (
        <ErrorNotice error={form.error} retry={form.reload} />
      )}
      {(algorithm || path) && form.isLoading && <Skeleton rows={3} />}
      <TextField
        label={trans.__('Name')}
        value={values.name}
        hint={trans.__('It is part of the address.')}
        error={nameError ?? fieldError(action.error, 'name')}
        onChange={name => change({ name })}
      />
      <div className="kpl-Form-row">
        <NumberField
          label={trans.__('Replicas')}
          value={values.replicas}
          {...Private.REPLICAS}
          error={countProblem}
          onChange={count => change({ replicas: count })}
        />
        <SelectField
          label={trans.__('Who may call it')}
          value={values.access}
          onChange={access =>
            change({ access: access as ServiceCreate['access'] })
          }
          options={[
            { value: 'private', label: trans.__('I alone, with my token') },
            {
              value: 'workspace',
              label: trans.__('Members of the workspace, with their tokens')
            },
            { value: 'public', label: trans.__('Everybody, without a token') }
          ]}
        />
      </div>
      {form.value && <FolderNotices form={form.value} />}
      {deploy && form.value && (
        <>
          <h2>{trans.__('Limits of each replica')}</h2>
          <Limits limits={limits} onChange={change} error={action.error} />
          <details className="kpl-Fold">
            <summary>{trans.__('Parameters')}</summary>
            <Parameters
              form={form.value}
              values={parameters}
              onChange={now =>
                change({
                  typed: filledParameters(
                    values.typed,
                    typedParameters(now, parameters),
                    'all'
                  )
                })
              }
              onValid={setValid}
            />
          </details>
        </>
      )}
    </FormPage>
  );
}

/**
 * A namespace for private helpers.
 */
namespace Private {
  export interface IValues {
    name: string;
    model: string;
    algorithm: string;
    path: string;
    replicas: number | null;
    access: ServiceCreate['access'];
    cpu: number | null;
    memory: number | null;
    gpu: number | null;

    /**
     * Parameters, whatever the code was when they were typed.
     */
    typed: Values;
  }

  export const NO_VALUES: IValues = {
    name: '',
    model: '',
    algorithm: '',
    path: '',
    replicas: 1,
    access: 'private',
    cpu: null,
    memory: null,
    gpu: null,
    typed: {}
  };

  export const REPLICAS = { min: 1, max: 64 };

  export function body(
    values: IValues,
    parameters: Values
  ): Body<ServiceCreate, 'name'> {
    const { cpu, memory, gpu } = values;
    const limits = Object.entries({ cpu, memory, gpu }).filter(
      ([, value]) => value !== null
    );
    return {
      name: values.name.trim(),
      replicas: values.replicas ?? 1,
      access: values.access,
      ...(values.model && { model: values.model }),
      ...(Object.keys(parameters).length > 0 && { parameters }),
      ...(limits.length > 0 && {
        resources: Object.fromEntries(limits) as ServiceCreate['resources']
      })
    };
  }

  export function command(values: IValues, path: string): string {
    const words = ['kpl', 'service', 'deploy', values.name || 'NAME'];
    if (values.model) {
      words.push('--model', values.model);
    }
    if (values.algorithm) {
      words.push('--algorithm', values.algorithm);
    } else {
      words.push('--code', `~/${path || 'DIR'}`);
    }
    words.push('--replicas', String(values.replicas ?? 1));
    return wrapped(words);
  }

  export function python(
    request: Body<ServiceCreate, 'name'>,
    algorithm: string,
    path: string
  ): string {
    const fields = { ...request, ...(algorithm && { algorithm }) };
    const args = Object.entries(fields).map(
      ([name, value]) => `    ${name}=${pythonValue(value)},`
    );
    return [
      ...(algorithm ? [] : ['from pathlib import Path', '']),
      'from kpl_lab.client import connect',
      'from kpl_lab.schemas.services import ServiceCreate',
      '',
      'body = ServiceCreate(',
      ...args,
      ')',
      algorithm
        ? 'service = connect().services.deploy(body)'
        : `service = connect().services.deploy(body, Path.home() / ${literal(path || 'DIR')})`,
      'print(service.url)'
    ].join('\n');
  }
}
