import type { Body } from '../../api/common';
import type {
  FunctionView,
  SaveAs,
  TaskCreate,
  TaskDetail,
  TaskInput
} from '../../api/types';
import { pairsOf } from '../../pairs';
import { literal, pythonValue, quoted } from '../../snippets';

/**
 * What a task form holds. Numbers that are null stand for the function's own.
 */
export interface ITaskValues {
  function: string;
  name: string;
  description: string;

  /**
   * Input key to `dataset:NAME[:VERSION]` or `model:NAME[:VERSION]`; empty for none.
   */
  inputs: Record<string, string>;
  parameters: Record<string, unknown>;
  cpu: number | null;
  memory: number | null;
  gpu: number | null;

  /**
   * Resource pool; empty for one's first.
   */
  pool: string;
  timeLimitMinutes: number | null;
  priority: number | null;
  nodes: number | null;

  /**
   * On each node.
   */
  processes: number | null;

  /**
   * Who starts the processes; empty: as the command looks.
   */
  launch: string;

  /**
   * `KEY=VALUE` lines.
   */
  environment: string;

  /**
   * Output key to the name under which it is kept; empty for the default.
   */
  saveAs: Record<string, string>;
}

/**
 * A form before anything was chosen.
 */
export const NO_VALUES: ITaskValues = {
  function: '',
  name: '',
  description: '',
  inputs: {},
  parameters: {},
  cpu: null,
  memory: null,
  gpu: null,
  pool: '',
  timeLimitMinutes: null,
  priority: null,
  nodes: null,
  processes: null,
  launch: '',
  environment: '',
  saveAs: {}
};

/**
 * Where the code of a task comes from.
 */
export type TaskSource = { path: string } | { algorithm: string };

/**
 * Read `dataset:NAME:VERSION`.
 */
export function parseReference(
  key: string,
  reference: string
): TaskInput | null {
  const match = /^(dataset|model):(.+?)(?::(\d+))?$/.exec(reference);
  return match
    ? {
        key,
        kind: match[1] as TaskInput['kind'],
        name: match[2],
        version: match[3] ? Number(match[3]) : null
      }
    : null;
}

/**
 * Values by name, in groups.
 */
export type Values = Record<string, unknown>;

/**
 * What was typed since: values that are others now; undefined for one that was emptied.
 */
export function typedParameters(now: Values, before: Values): Values {
  const typed: Values = {};
  for (const key of Object.keys({ ...before, ...now })) {
    const [value, original] = [now[key], before[key]];
    if (isMapping(value) && isMapping(original)) {
      const inner = typedParameters(value, original);
      if (Object.keys(inner).length > 0) {
        typed[key] = inner;
      }
    } else if (JSON.stringify(value) !== JSON.stringify(original)) {
      typed[key] = value;
    }
  }
  return typed;
}

/**
 * Put values into others: those of names that are there, or all of them.
 */
export function filledParameters(
  values: Values,
  typed: Values,
  which: 'known' | 'all' = 'known'
): Values {
  const filled = { ...values };
  for (const [key, value] of Object.entries(typed)) {
    const original = values[key];
    if (isMapping(value) && isMapping(original)) {
      filled[key] = filledParameters(original, value, which);
    } else if (which === 'all' || (key in values && !isMapping(original))) {
      filled[key] = value;
    }
  }
  return filled;
}

/**
 * Only the parameters that are not at their default, as the platform merges them.
 */
export function changedParameters(values: Values, defaults: Values): Values {
  return defined(typedParameters({ ...defaults, ...values }, defaults));
}

/**
 * The request that a form stands for.
 */
export function taskBody(
  values: ITaskValues,
  chosen: FunctionView,
  defaults: Values
): Body<TaskCreate> {
  const inputs = chosen.inputs
    .map(port => parseReference(port.key, values.inputs[port.key] ?? ''))
    .filter((input): input is TaskInput => input !== null);
  const save_as: SaveAs[] = chosen.outputs
    .filter(port => values.saveAs[port.key] && port.kind !== 'files')
    .map(port => ({
      output: port.key,
      kind: port.kind as SaveAs['kind'],
      name: values.saveAs[port.key]
    }));
  const { cpu, memory, gpu } = values;
  const resources = given({ cpu, memory, gpu });
  return given({
    function: chosen.name as TaskCreate['function'],
    name: values.name.trim() || null,
    description: values.description.trim() || null,
    inputs,
    parameters: changedParameters(values.parameters, defaults),
    resources: resources as TaskCreate['resources'],
    pool: values.pool || null,
    environment: pairsOf(values.environment),
    save_as,
    time_limit_seconds:
      values.timeLimitMinutes === null ? null : values.timeLimitMinutes * 60,
    nodes: values.nodes,
    processes: values.processes,
    launch: values.launch || null,
    priority: values.priority
  }) as Body<TaskCreate>;
}

/**
 * What the form of a task held that is to be submitted again.
 */
export function repeatedValues(task: TaskDetail): Partial<ITaskValues> {
  const inputs = task.inputs.map(({ key, kind, name, version }) => [
    key,
    `${kind}:${name}${version ? `:${version}` : ''}`
  ]);
  return {
    function: task.function,
    description: task.description,
    inputs: Object.fromEntries(inputs) as Record<string, string>,
    parameters: task.parameters,
    cpu: task.resources.cpu,
    memory: task.resources.memory,
    gpu: task.resources.gpu,
    pool: task.pool ?? '',
    timeLimitMinutes: task.time_limit_seconds
      ? Math.ceil(task.time_limit_seconds / 60)
      : null,
    priority: task.priority || null,
    nodes: task.nodes > 1 ? task.nodes : null,
    processes: task.processes > 1 ? task.processes : null,
    launch: task.nodes > 1 || task.processes > 1 ? task.launch : '',
    environment: Object.entries(task.environment)
      .map(([name, value]) => `${name}=${value}`)
      .join('\n'),
    saveAs: Object.fromEntries(
      task.save_as.map(item => [item.output, item.name])
    )
  };
}

/**
 * The same request as a `kpl` command.
 */
export function taskCommand(
  source: TaskSource,
  body: Body<TaskCreate>
): string {
  const words = ['kpl', 'task', 'submit'];
  if ('path' in source) {
    words.push('--code', `~/${source.path}`);
  } else {
    words.push('--algorithm', source.algorithm);
  }
  words.push('--function', body.function ?? 'train');
  for (const input of body.inputs ?? []) {
    words.push('--input', `${input.key}=${reference(input)}`);
  }
  words.push(...parameterWords(body.parameters));
  const { cpu, memory, gpu } = body.resources ?? {};
  for (const [name, value] of Object.entries({ cpu, memory, gpu })) {
    if (value !== undefined && value !== null) {
      words.push(`--${name}`, String(value));
    }
  }
  const { pool, nodes, processes, launch } = body;
  for (const [name, value] of Object.entries({
    pool,
    nodes,
    processes,
    launch
  })) {
    if (value) {
      words.push(`--${name}`, String(value));
    }
  }
  for (const [name, value] of Object.entries(body.environment ?? {})) {
    words.push('--env', `${name}=${value}`);
  }
  if (body.name) {
    words.push('--name', body.name);
  }
  for (const item of body.save_as ?? []) {
    words.push('--save-as', `${item.output}=${item.kind}:${item.name}`);
  }
  return wrapped(words);
}

/**
 * The same request as Python.
 */
export function taskPython(source: TaskSource, body: Body<TaskCreate>): string {
  const fields: Values = { ...body };
  if ('algorithm' in source) {
    fields.algorithm = source.algorithm;
  }
  const args = Object.entries(fields).map(
    ([name, value]) => `    ${name}=${pythonValue(value)},`
  );
  const isFolder = 'path' in source;
  return [
    ...(isFolder ? ['from pathlib import Path', ''] : []),
    'from kpl_lab.client import connect',
    'from kpl_lab.schemas.tasks import TaskCreate',
    '',
    'body = TaskCreate(',
    ...args,
    ')',
    isFolder
      ? `task = connect().tasks.submit(body, Path.home() / ${literal(source.path)})`
      : 'task = connect().tasks.submit(body)',
    'print(task.id, task.state)'
  ].join('\n');
}

/**
 * Words as a shell line, one option a line where it would be long.
 */
export function wrapped(words: string[]): string {
  const shown = words.map(word =>
    word.startsWith('~/') ? `~/${quoted(word.slice(2))}` : quoted(word)
  );
  const line = shown.join(' ');
  return line.length <= 44 ? line : line.replace(/ (--[a-z])/g, ' \\\n  $1');
}

function reference(input: TaskInput): string {
  const version = input.version ? `:${input.version}` : '';
  return `${input.kind}:${input.name}${version}`;
}

/**
 * Parameters as options of a `kpl` command.
 */
export function parameterWords(values: Values = {}): string[] {
  return dotted(values).flatMap(([name, value]) => [
    '--param',
    `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`
  ]);
}

function dotted(values: Values, prefix = ''): [string, unknown][] {
  return Object.entries(values).flatMap(([key, value]): [string, unknown][] =>
    isMapping(value)
      ? dotted(value, `${prefix}${key}.`)
      : [[prefix + key, value]]
  );
}

/**
 * Without what was emptied.
 */
function defined(values: Values): Values {
  const entries = Object.entries(values)
    .map(([key, value]) => [key, isMapping(value) ? defined(value) : value])
    .filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as Values;
}

function isMapping(value: unknown): value is Values {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * What says something: no nulls, no empty lists or mappings.
 */
function given(fields: Values): Values {
  return Object.fromEntries(
    Object.entries(fields).filter(
      ([, value]) =>
        value !== null &&
        value !== undefined &&
        !(Array.isArray(value) && value.length === 0) &&
        !(isMapping(value) && Object.keys(value).length === 0)
    )
  );
}
