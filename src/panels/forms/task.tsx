import * as React from 'react';

import type { IWatch } from '../../api/local';
import type { FormDescription, TaskDetail } from '../../api/types';
import { ErrorNotice, Skeleton } from '../../components/basic';
import {
  FormPage,
  PathField,
  SelectField,
  Summary,
  TextField,
  fieldError
} from '../../components/form';
import { useKpl } from '../../context';
import { useRemote } from '../../hooks';
import { useFormValues, useSending, useSettled } from '../../hooks/form';
import { homePath, nameProblem, pathProblem } from '../../names';
import type { IFormStart } from '../../tokens';
import type { IFormProps } from '.';
import { FolderNotices } from './notices';
import { Parameters } from './parameters';
import { InputPicker, useReadyNames } from './pickers';
import { Limits, useLimits } from './limits';
import type { ITaskValues, TaskSource, Values } from './taskbody';
import {
  NO_VALUES,
  filledParameters,
  repeatedValues,
  taskBody,
  taskCommand,
  taskPython,
  typedParameters
} from './taskbody';
import { Advanced, advancedProblem } from './taskparts';

/**
 * Where a task that was made of a folder says which one it was.
 */
const FOLDER_LABEL = 'kpl-lab/folder';

/**
 * A new task: first where its code is, then the form that the code asks for.
 */
export function TaskForm(props: IFormProps): JSX.Element {
  const { client } = useKpl();
  const { start } = props;
  const earlier = useRemote(
    start.task ? () => client.tasks.get(start.task as number) : null,
    `task-form/${start.task ?? ''}`
  );
  if (start.task && !earlier.value) {
    return earlier.error ? (
      <ErrorNotice error={earlier.error} retry={earlier.reload} />
    ) : (
      <Skeleton rows={6} />
    );
  }
  return <SourcedForm {...props} earlier={earlier.value} />;
}

/**
 * The form behind the choice of its code.
 */
function SourcedForm(
  props: IFormProps & { earlier: TaskDetail | null }
): JSX.Element {
  const { client, trans } = useKpl();
  const { start, earlier } = props;
  const algorithms = useReadyNames('algorithms');
  const [algorithm, setAlgorithm] = React.useState(
    start.algorithm ?? earlier?.algorithm ?? ''
  );
  const [path, setPath] = React.useState(
    start.path ?? earlier?.labels[FOLDER_LABEL] ?? ''
  );
  const settled = useSettled(homePath(path));
  const source: TaskSource | null = algorithm
    ? { algorithm }
    : settled
      ? { path: settled }
      : null;
  const key = algorithm ? `algorithm:${algorithm}` : `folder:${settled}`;
  const form = useRemote<FormDescription | null>(
    source
      ? async () =>
          algorithm
            ? (await client.algorithms.get(algorithm.split(':')[0])).form
            : client.local.folder(settled)
      : null,
    key
  );
  const typed = React.useRef<Partial<ITaskValues>>({});
  const badPath = algorithm ? null : pathProblem(trans, form.error, settled);
  const fields = (
    <>
      <SelectField
        label={trans.__('Code')}
        value={algorithm}
        onChange={setAlgorithm}
        options={[
          { value: '', label: trans.__('A folder of mine') },
          ...[...new Set([algorithm, ...algorithms])]
            .filter(Boolean)
            .map(name => ({
              value: name,
              label: trans.__('Algorithm %1', name)
            }))
        ]}
      />
      {!algorithm && (
        <PathField
          label={trans.__('Folder')}
          value={path}
          onChange={chosen => {
            setPath(chosen);
            if (homePath(chosen) === settled) {
              // Chosen again: its files may be others by now.
              form.reload();
            }
          }}
          error={badPath}
          hint={
            earlier && !earlier.algorithm && !earlier.labels[FOLDER_LABEL]
              ? trans.__(
                  'The task does not say in which folder its code “%1” lay; choose it.',
                  earlier.code_name
                )
              : trans.__(
                  'It holds environment.yml; the code is sent as it is now.'
                )
          }
        />
      )}
      {form.error && !badPath && (
        <ErrorNotice error={form.error} retry={form.reload} />
      )}
      {source && form.isLoading && <Skeleton rows={4} />}
    </>
  );
  return (
    <FilledForm
      {...props}
      typed={typed}
      form={form.value}
      isUnusable={form.error !== null}
      source={source}
      head={fields}
      start={start}
    />
  );
}

/**
 * The fields that the code asks for, and the card beside them.
 */
function FilledForm(
  props: IFormProps & {
    form: FormDescription | null;

    /**
     * The code was looked at, and cannot be run as it is.
     */
    isUnusable: boolean;
    source: TaskSource | null;

    /**
     * What was typed, whatever the code was then.
     */
    typed: React.MutableRefObject<Partial<ITaskValues>>;
    head: React.ReactNode;
    start: IFormStart;
    earlier: TaskDetail | null;
  }
): JSX.Element {
  const { client, trans } = useKpl();
  const { form, source, head, start, earlier, onDone, typed } = props;
  const action = useSending();
  const [isValid, setValid] = React.useState(true);
  const defaults = form?.parameter_defaults ?? {};
  const key = `task:${JSON.stringify(form && source)}`;
  const [values, put, remember] = useFormValues<ITaskValues>(
    key,
    { ...NO_VALUES, parameters: defaults },
    sent =>
      Private.filled(sent, defaults, [
        Private.given(start, form, earlier),
        typed.current
      ])
  );
  const change = (part: Partial<ITaskValues>): void => {
    typed.current = Private.typedSince(typed.current, part, values);
    put(part);
  };
  const functions = (form?.functions ?? []).filter(
    item => item.name !== 'deploy'
  );
  const chosen =
    functions.find(item => item.name === values.function) ?? functions[0];
  const empty = chosen?.inputs.find(
    port => !port.optional && !values.inputs[port.key]
  );
  const nodes = values.nodes || 1;
  const limits = useLimits(values, chosen?.resources, nodes);
  const { pool } = limits;
  const body = chosen ? taskBody({ ...values, pool }, chosen, defaults) : null;
  const nameError = nameProblem(trans, values.name);
  const missing = !source
    ? trans.__('Choose the code first.')
    : !form
      ? props.isUnusable
        ? trans.__('The code cannot be used as it is.')
        : trans.__('Reading the code…')
      : !chosen
        ? trans.__('The code has no function that can run as a task.')
        : empty
          ? trans.__('Choose what “%1” is filled with.', empty.name)
          : (nameError ??
            limits.missing ??
            advancedProblem(trans, values) ??
            (isValid ? null : trans.__('A parameter is not as it should be.')));
  const submit = async (watch: IWatch): Promise<void> => {
    if (!source || !body) {
      return;
    }
    const task =
      'path' in source
        ? await client.local.createTask({ ...body, path: source.path }, watch)
        : await client.tasks.create({ ...body, algorithm: source.algorithm });
    remember();
    client.lists.tasks.put(task);
    onDone('tasks', task.id);
  };
  return (
    <FormPage
      title={trans.__('New task')}
      intro={trans.__(
        'Runs a function of your code beside this server, and goes on when you close the browser.'
      )}
      submit={trans.__('Submit')}
      action={action}
      missing={missing}
      onSubmit={() => action.run(submit)}
      summary={
        source && body && chosen ? (
          <Summary
            demand={{
              cpu: (values.cpu || chosen.resources.cpu) * nodes,
              memory: (values.memory || chosen.resources.memory) * nodes,
              gpu: (values.gpu ?? chosen.resources.gpu) * nodes,
              pool: values.pool,
              waits: true
            }}
            command={taskCommand(source, body)}
            python={taskPython(source, body)}
          />
        ) : (
          <h2>{trans.__('Summary')}</h2>
        )
      }
    >
      {head}
      {form && chosen && (
        <>
          <FolderNotices form={form} />
          <SelectField
            label={trans.__('Function')}
            value={chosen.name}
            onChange={name => change({ function: name })}
            hint={chosen.cmd}
            options={functions.map(item => ({
              value: item.name,
              label: item.name
            }))}
          />
          <TextField
            label={trans.__('Name')}
            value={values.name}
            placeholder={trans.__('chosen for you')}
            error={nameError ?? fieldError(action.error, 'name')}
            onChange={name => change({ name })}
          />
          {chosen.inputs.length > 0 && <h2>{trans.__('Inputs')}</h2>}
          {chosen.inputs.map(port => (
            <InputPicker
              key={port.key}
              port={port}
              value={values.inputs[port.key] ?? ''}
              error={fieldError(action.error, `inputs.${port.key}`)}
              onChange={reference =>
                change({ inputs: { ...values.inputs, [port.key]: reference } })
              }
            />
          ))}
          <h2>{trans.__('Parameters')}</h2>
          <Parameters
            key={key}
            form={form}
            values={values.parameters}
            onChange={parameters => change({ parameters })}
            onValid={setValid}
          />
          <h2>
            {nodes > 1 ? trans.__('Limits of each node') : trans.__('Limits')}
          </h2>
          <Limits limits={limits} onChange={change} error={action.error} />
          <Advanced
            values={values}
            outputs={chosen.outputs}
            onChange={change}
          />
        </>
      )}
    </FormPage>
  );
}

/**
 * A namespace for private helpers.
 */
namespace Private {
  /**
   * Values with what wins over them, the last most; of parameters only those that the code has.
   */
  export function filled(
    values: ITaskValues,
    defaults: Values,
    winners: Partial<ITaskValues>[]
  ): ITaskValues {
    const all = [values, ...winners];
    return {
      ...(Object.assign({}, ...all) as ITaskValues),
      parameters: all.reduce(
        (known, { parameters = {} }) => filledParameters(known, parameters),
        defaults
      )
    };
  }

  /**
   * What was typed, with a change of some values.
   */
  export function typedSince(
    typed: Partial<ITaskValues>,
    part: Partial<ITaskValues>,
    before: ITaskValues
  ): Partial<ITaskValues> {
    const { parameters } = part;
    return {
      ...typed,
      ...part,
      parameters: filledParameters(
        typed.parameters ?? {},
        parameters ? typedParameters(parameters, before.parameters) : {},
        'all'
      )
    };
  }

  /**
   * What the form was opened with, as values.
   */
  export function given(
    start: IFormStart,
    form: FormDescription | null,
    earlier: TaskDetail | null
  ): Partial<ITaskValues> {
    if (earlier) {
      return repeatedValues(earlier);
    }
    const key = form?.functions
      .flatMap(item => item.inputs)
      .find(port => port.kind !== 'model')?.key;
    return start.dataset && key
      ? { inputs: { [key]: `dataset:${start.dataset}` } }
      : {};
  }
}
