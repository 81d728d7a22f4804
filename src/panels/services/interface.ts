import { literal, pythonValue, quoted } from '../../snippets';

/**
 * The variable of a notebook server that holds the caller's token.
 */
const TOKEN = 'JUPYTERHUB_API_TOKEN';

/**
 * How a call carries its inputs.
 */
export type CallFormat = 'params' | 'form' | 'json' | 'file' | 'text';

/**
 * One input of a call, as the interface description names it.
 */
export interface ICallInput {
  name: string;
  type: string;
  required: boolean;
  example: string;
  description: string;
}

/**
 * One call that a service answers.
 */
export interface ICall {
  name: string;
  path: string;
  method: string;
  format: CallFormat;
  inputs: ICallInput[];
}

/**
 * What was typed or chosen for each input.
 */
export type CallValues = Record<string, string | File | undefined>;

/**
 * What is offered where a service describes no interface.
 */
export const PLAIN_CALL: ICall = {
  name: '/',
  path: '/',
  method: 'GET',
  format: 'params',
  inputs: []
};

/**
 * Read the interface description; the author owns every key, so nothing is taken for granted.
 */
export function readInterface(
  descriptions: ReadonlyArray<Record<string, unknown>>
): ICall[] {
  return descriptions.map(description => {
    const inputs = Array.isArray(description.inputs) ? description.inputs : [];
    const path = text(description.path, '/');
    return {
      name: text(description.name, path),
      path,
      method: text(description.method, 'POST').toUpperCase(),
      format: format(description.format),
      inputs: inputs.map((input: Record<string, unknown>) => ({
        name: text(input.name, 'file'),
        type: text(input.type, 'String'),
        required: input.required === true,
        example: text(input.example, ''),
        description: text(input.description, '')
      }))
    };
  });
}

/**
 * Whether an input is a file, a picture among them.
 */
export function isFile(call: ICall, input: ICallInput): boolean {
  return (
    call.format === 'file' ||
    /file|image|picture|bytes|binary/i.test(input.type)
  );
}

/**
 * A request, ready to be sent.
 */
export interface IPreparedCall {
  path: string;
  method: string;
  body?: BodyInit;
  headers?: Record<string, string>;
}

/**
 * Put the values into a request, as the interface's format says.
 */
export function prepare(call: ICall, values: CallValues): IPreparedCall {
  const { path, method } = call;
  const given = call.inputs
    .map(input => [input, values[input.name]] as const)
    .filter(([, value]) => value !== undefined && value !== '');
  switch (call.format) {
    case 'params': {
      const query = new URLSearchParams();
      given.forEach(([input, value]) => query.set(input.name, String(value)));
      const search = query.toString();
      return { method, path: search ? `${path}?${search}` : path };
    }
    case 'form': {
      const body = new FormData();
      given.forEach(([input, value]) => body.set(input.name, value ?? ''));
      return { method, path, body };
    }
    case 'json': {
      const entries = given.map(([input, value]) => [
        input.name,
        typed(input, String(value))
      ]);
      return {
        method,
        path,
        body: JSON.stringify(Object.fromEntries(entries)),
        headers: { 'Content-Type': 'application/json' }
      };
    }
    case 'file': {
      const file = given[0]?.[1];
      return {
        method,
        path,
        body: file,
        headers: {
          'Content-Type':
            (file instanceof File && file.type) || 'application/octet-stream'
        }
      };
    }
    case 'text':
      return {
        method,
        path,
        body: String(given[0]?.[1] ?? ''),
        headers: { 'Content-Type': 'text/plain; charset=utf-8' }
      };
  }
}

/**
 * The same call as a line for a terminal.
 *
 * @param address The service's address, with a slash at its end.
 * @param isPublic Whether it answers without a token.
 */
export function curl(
  call: ICall,
  values: CallValues,
  address: string,
  isPublic: boolean
): string {
  const prepared = prepare(call, values);
  const url = address.replace(/\/$/, '') + prepared.path;
  const words = ['curl', '-X', call.method];
  if (!isPublic) {
    words.push('-H', `"Authorization: token $${TOKEN}"`);
  }
  for (const input of call.inputs) {
    words.push(...option(call, input, values[input.name]));
  }
  if (call.format === 'json') {
    words.push('-H', "'Content-Type: application/json'");
    words.push('-d', quoted(String(prepared.body)));
  }
  words.push(quoted(url));
  return words.join(' ');
}

/**
 * The same call as Python.
 *
 * @param address The service's address, with a slash at its end.
 * @param isPublic Whether it answers without a token.
 */
export function python(
  call: ICall,
  values: CallValues,
  address: string,
  isPublic: boolean
): string {
  const url = address.replace(/\/$/, '') + prepare(call, values).path;
  const args = [
    literal(call.method),
    literal(url),
    ...pythonBody(call, values)
  ];
  const lines = isPublic
    ? ['import httpx', '']
    : [
        'import os',
        '',
        'import httpx',
        '',
        `headers = {"Authorization": "token " + os.environ["${TOKEN}"]}`
      ];
  if (!isPublic) {
    args.push('headers=headers');
  }
  return [
    ...lines,
    `answer = httpx.request(${args.join(', ')})`,
    'print(answer.text)'
  ].join('\n');
}

/**
 * The same call as a `kpl` command.
 */
export function command(
  call: ICall,
  values: CallValues,
  service: string
): string {
  const words = ['kpl', 'service', 'call', service, '--path', call.path];
  const data: Record<string, unknown> = {};
  for (const input of call.inputs) {
    const value = values[input.name];
    if (isFile(call, input)) {
      const name = filename(value, input);
      words.push(
        '--file',
        call.format === 'file' ? name : `${input.name}=${name}`
      );
    } else {
      data[input.name] = typed(input, String(value ?? input.example));
    }
  }
  if (Object.keys(data).length > 0) {
    words.push('--data', JSON.stringify(data));
  }
  return words.map(quoted).join(' ');
}

function option(
  call: ICall,
  input: ICallInput,
  value: string | File | undefined
): string[] {
  if (call.format === 'form') {
    return [
      '-F',
      quoted(
        isFile(call, input)
          ? `${input.name}=@${filename(value, input)}`
          : `${input.name}=${String(value ?? input.example)}`
      )
    ];
  }
  if (call.format === 'file') {
    return ['--data-binary', quoted(`@${filename(value, input)}`)];
  }
  if (call.format === 'text') {
    return ['--data', quoted(String(value ?? input.example))];
  }
  return [];
}

function pythonBody(call: ICall, values: CallValues): string[] {
  const file = (input: ICallInput): string =>
    `open(${literal(filename(values[input.name], input))}, "rb")`;
  const pairs = (inputs: ICallInput[], show: (input: ICallInput) => string) =>
    `{${inputs.map(input => `${literal(input.name)}: ${show(input)}`).join(', ')}}`;
  switch (call.format) {
    case 'form': {
      const files = call.inputs.filter(input => isFile(call, input));
      const texts = call.inputs.filter(input => !isFile(call, input));
      return [
        ...(files.length > 0 ? [`files=${pairs(files, file)}`] : []),
        ...(texts.length > 0
          ? [
              `data=${pairs(texts, input => literal(String(values[input.name] ?? input.example)))}`
            ]
          : [])
      ];
    }
    case 'json':
      return [
        `json=${pairs(call.inputs, input => pythonValue(typed(input, String(values[input.name] ?? input.example))))}`
      ];
    case 'file':
      return call.inputs.slice(0, 1).map(input => `content=${file(input)}`);
    case 'text':
      return call.inputs
        .slice(0, 1)
        .map(
          input =>
            `content=${literal(String(values[input.name] ?? input.example))}`
        );
    default:
      return [];
  }
}

function filename(value: string | File | undefined, input: ICallInput): string {
  return value instanceof File ? value.name : input.example || 'picture.png';
}

function typed(input: ICallInput, value: string): unknown {
  if (/int|float|number|double/i.test(input.type) && value.trim() !== '') {
    const number = Number(value);
    return Number.isNaN(number) ? value : number;
  }
  if (/json|list|map|array|object|bool/i.test(input.type)) {
    try {
      return JSON.parse(value) as unknown;
    } catch {
      return value;
    }
  }
  return value;
}

function text(value: unknown, otherwise: string): string {
  return value === undefined || value === null ? otherwise : String(value);
}

function format(value: unknown): CallFormat {
  const known: CallFormat[] = ['params', 'form', 'json', 'file', 'text'];
  return known.find(item => item === value) ?? 'json';
}
