import type { Body } from '../../api/common';
import type { ServiceCreate } from '../../api/types';
import { literal, pythonValue } from '../../snippets';
import type { Values } from './taskbody';
import { parameterWords, wrapped } from './taskbody';

/**
 * What the form of a service holds. Numbers that are null stand for the function's own.
 */
export interface IServiceValues {
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
   * Resource pool; empty for one's first.
   */
  pool: string;

  /**
   * Parameters, whatever the code was when they were typed.
   */
  typed: Values;
}

/**
 * A form before anything was chosen.
 */
export const NO_SERVICE: IServiceValues = {
  name: '',
  model: '',
  algorithm: '',
  path: '',
  replicas: 1,
  access: 'private',
  cpu: null,
  memory: null,
  gpu: null,
  pool: '',
  typed: {}
};

/**
 * How many replicas there may be.
 */
export const REPLICAS = { min: 1, max: 64 };

/**
 * The request that a form stands for.
 */
export function serviceBody(
  values: IServiceValues,
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
    ...(values.pool && { pool: values.pool }),
    ...(limits.length > 0 && {
      resources: Object.fromEntries(limits) as ServiceCreate['resources']
    })
  };
}

/**
 * The same request as a `kpl` command.
 */
export function serviceCommand(
  body: Body<ServiceCreate, 'name'>,
  algorithm: string,
  path: string
): string {
  const words = ['kpl', 'service', 'deploy', body.name || 'NAME'];
  if (body.model) {
    words.push('--model', body.model);
  }
  if (algorithm) {
    words.push('--algorithm', algorithm);
  } else {
    words.push('--code', `~/${path || 'DIR'}`);
  }
  words.push('--replicas', String(body.replicas ?? 1));
  if (body.access && body.access !== 'private') {
    words.push('--access', body.access);
  }
  const { cpu, memory, gpu } = body.resources ?? {};
  const { pool } = body;
  for (const [name, value] of Object.entries({ pool, cpu, memory, gpu })) {
    if (value !== undefined && value !== null) {
      words.push(`--${name}`, String(value));
    }
  }
  words.push(...parameterWords(body.parameters));
  return wrapped(words);
}

/**
 * The same request as Python.
 */
export function servicePython(
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
