import * as React from 'react';

import type { IWatch } from '../../api/local';
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
import type { IFormProps } from '.';
import { Limits, useLimits } from './limits';
import { FolderNotices } from './notices';
import { Parameters } from './parameters';
import { useReadyNames } from './pickers';
import type { IServiceValues } from './servicebody';
import {
  NO_SERVICE,
  REPLICAS,
  serviceBody,
  serviceCommand,
  servicePython
} from './servicebody';
import {
  changedParameters,
  filledParameters,
  typedParameters
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
  const [values, setValues] = React.useState<IServiceValues>({
    ...NO_SERVICE,
    model: start.model ?? '',
    algorithm: start.algorithm ?? '',
    path: start.path ?? '',
    name: (start.model ?? start.algorithm ?? '').split(':')[0]
  });
  const change = (part: Partial<IServiceValues>): void =>
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
  const [isValid, setValid] = React.useState(true);
  const replicas = values.replicas || 1;
  const limits = useLimits(values, deploy?.resources, replicas);
  const body = serviceBody(
    { ...values, pool: limits.pool },
    changedParameters(parameters, defaults)
  );
  const countProblem =
    values.replicas === null
      ? trans.__('Write a number.')
      : numberProblem(trans, values.replicas, REPLICAS);
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
              pool: values.pool,
              waits: false
            }
          }
          command={isChosen ? serviceCommand(body, algorithm, path) : undefined}
          python={isChosen ? servicePython(body, algorithm, path) : undefined}
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
          {...REPLICAS}
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
