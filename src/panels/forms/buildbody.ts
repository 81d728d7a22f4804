import type { Body } from '../../api/common';
import type { DockerfileSource, PushTarget } from '../../api/types';
import { nameOf } from '../../names';
import { pairsOf } from '../../pairs';
import type { ILogin } from './login';
import { NO_LOGIN, commandWith } from './login';
import type { ISecret } from './secrets';
import { wrapped } from './taskbody';

/**
 * What an image can be made of.
 */
export type Kind =
  'archive' | 'dockerfile' | 'environment' | 'folder' | 'requirements';

/**
 * What the form holds beside the name and what is said about the image.
 */
export interface IMade {
  path: string;
  base: string;
  arguments: string;
  secrets: ISecret[];
  target: string;
  useCache: boolean;
  push: string;
  login: ILogin;
}

/**
 * A form before anything was chosen.
 */
export const NOTHING: IMade = {
  path: '',
  base: '',
  arguments: '',
  secrets: [],
  target: '',
  useCache: true,
  push: '',
  login: NO_LOGIN
};

/**
 * What a path is by its name; the Jupyter server, which sees it, decides.
 */
export function kindOf(path: string): Kind {
  const [file] = path.split('/').slice(-1);
  if (/\.(tar|tar\.gz|tgz)$/.test(file)) {
    return 'archive';
  }
  if (file.endsWith('.txt')) {
    return 'requirements';
  }
  if (/\.ya?ml$/.test(file)) {
    return 'environment';
  }
  return /dockerfile/i.test(file) ? 'dockerfile' : 'folder';
}

/**
 * A first proposal: the folder's name, or the archive's.
 */
export function nameFrom(path: string): string {
  const kind = kindOf(path);
  return kind === 'folder' || kind === 'archive'
    ? nameOf(path)
    : nameOf(path.split('/').slice(0, -1).join('/'));
}

/**
 * What is sent beside the path and what is said about the image.
 */
export function buildSource(
  made: IMade,
  kind: Kind
): {
  base?: string;
  dockerfile?: Partial<DockerfileSource>;
  push?: Body<PushTarget, 'reference'>;
} {
  const { base, login, push, target, useCache } = made;
  const isDocker = kind === 'dockerfile' || kind === 'folder';
  const pairs = pairsOf(made.arguments);
  const docker = {
    ...(Object.keys(pairs).length > 0 && { arguments: pairs }),
    ...(made.secrets.length > 0 && {
      secrets: Object.fromEntries(
        made.secrets.map(({ id, value }) => [id, value])
      )
    }),
    ...(target.trim() && { target: target.trim() }),
    ...(!useCache && { use_cache: false })
  };
  return {
    ...(kind === 'requirements' && base.trim() && { base: base.trim() }),
    ...(isDocker && Object.keys(docker).length > 0 && { dockerfile: docker }),
    ...(push.trim() &&
      kind !== 'archive' && {
        push: {
          reference: push.trim(),
          ...(login.username && { credentials: login })
        }
      })
  };
}

/**
 * The same as a command.
 */
export function buildCommand(
  made: IMade & { name: string },
  kind: Kind,
  options: string[]
): string {
  const { path, name } = made;
  if (kind === 'archive') {
    return wrapped(['kpl', 'image', 'load', name, `~/${path}`, ...options]);
  }
  const isFile = kind !== 'folder';
  const folder = isFile ? path.split('/').slice(0, -1).join('/') : path;
  const { base, dockerfile, push } = buildSource(made, kind);
  return commandWith(push ? made.login : NO_LOGIN, [
    'kpl',
    'image',
    'build',
    `~/${folder}`,
    '--tag',
    name,
    ...(isFile ? ['--file', `~/${path}`] : []),
    ...(base ? ['--from', base] : []),
    ...Object.entries(dockerfile?.arguments ?? {}).flatMap(([key, value]) => [
      '--build-arg',
      `${key}=${value}`
    ]),
    // Values stand in files or variables: shells remember lines.
    ...Object.keys(dockerfile?.secrets ?? {}).flatMap(id => [
      '--secret',
      `id=${id || 'ID'},src=${id || 'ID'}.txt`
    ]),
    ...(dockerfile?.target ? ['--target', dockerfile.target] : []),
    ...(dockerfile && !made.useCache ? ['--no-cache'] : []),
    ...(push ? ['--push', push.reference] : []),
    ...options
  ]);
}
