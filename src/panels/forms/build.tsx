import * as React from 'react';

import type { IWatch } from '../../api/local';
import {
  Field,
  FormPage,
  PathField,
  Summary,
  TextField,
  fieldError
} from '../../components/form';
import { useKpl } from '../../context';
import { useRemote } from '../../hooks';
import { useSending } from '../../hooks/form';
import { keepsCatalog, useMe } from '../../hooks/me';
import { homePath, nameOf, nameProblem, pathProblem } from '../../names';
import { ImageFieldset } from '../images/fields';
import type { IImageValues } from '../images/values';
import {
  NO_VALUES,
  changedFields,
  optionsOf,
  problemsOf
} from '../images/values';
import type { IFormProps } from '.';
import type { ILogin } from './login';
import { LoginFields, NO_LOGIN, isHalf } from './login';
import { wrapped } from './taskbody';

/**
 * Make an image of a folder or file of the home, or load one that was saved as a tar.
 */
export function BuildForm(props: IFormProps): JSX.Element {
  const { client, trans } = useKpl();
  const { start, onDone } = props;
  const action = useSending();
  const me = useMe();
  const version = useRemote(() => client.servers.version(), 'version');
  const isLocal = version.value?.engine === 'local';
  const [typed, setTyped] = React.useState<string | null>(null);
  const [values, setValues] = React.useState<IImageValues>(NO_VALUES);
  const [made, setMade] = React.useState<Private.IMade>({
    ...Private.NOTHING,
    path: start.path ?? ''
  });
  const change = (part: Partial<Private.IMade>): void =>
    setMade(now => ({ ...now, ...part }));
  const path = homePath(made.path);
  const kind = Private.kindOf(path);
  const name = typed ?? Private.nameFrom(path);
  const nameError = nameProblem(trans, name);
  const facts = changedFields(values, NO_VALUES);
  const badLine = Private.lines(made.arguments).find(
    line => !/^[^=\s]+=/.test(line)
  );
  const [problem = null] = Object.values(problemsOf(trans, values));
  const missing =
    path === ''
      ? trans.__('Choose what it is made of.')
      : name.trim() === ''
        ? trans.__('Give it a name.')
        : badLine !== undefined
          ? trans.__('“%1” is not KEY=VALUE.', badLine)
          : isHalf(made.login)
            ? trans.__('A registry wants username and password, or neither.')
            : (nameError ?? problem);
  const submit = async (watch: IWatch): Promise<void> => {
    const build = await client.local.createBuild(
      { ...facts, ...Private.source(made, kind), path, name: name.trim() },
      watch
    );
    client.lists.builds.put(build);
    onDone('builds', build.id);
  };
  return (
    <FormPage
      title={trans.__('Build image')}
      intro={trans.__(
        'The platform makes an image outside of this server and puts it into the catalog. A name of yours that is taken becomes the new image.'
      )}
      submit={kind === 'archive' ? trans.__('Load') : trans.__('Build')}
      action={action}
      missing={missing}
      onSubmit={() => action.run(submit)}
      summary={
        <Summary
          command={Private.command(
            { ...made, path: path || 'DIR', name: name || 'NAME' },
            kind,
            optionsOf(facts)
          )}
        />
      }
    >
      <PathField
        label={trans.__('Folder or file')}
        value={made.path}
        onChange={chosen => change({ path: chosen })}
        error={
          pathProblem(trans, action.error, path) ??
          fieldError(action.error, 'path')
        }
        hint={
          isLocal
            ? trans.__(
                'A folder with environment.yml or requirements.txt, or such a file. Dockerfiles and saved images need an engine with containers.'
              )
            : trans.__(
                'A folder with a Dockerfile, environment.yml or requirements.txt, such a file, or a tar of docker save.'
              )
        }
      />
      <TextField
        label={trans.__('Name')}
        value={name}
        hint={trans.__('How commands and environment.yml call it.')}
        error={nameError ?? fieldError(action.error, 'name')}
        onChange={setTyped}
      />
      {kind === 'requirements' && (
        <TextField
          label={trans.__('Base image')}
          value={made.base}
          hint={trans.__('what the packages are added to; empty: the default')}
          error={fieldError(action.error, 'base')}
          onChange={base => change({ base })}
        />
      )}
      {!isLocal && (kind === 'dockerfile' || kind === 'folder') && (
        <Dockerfile made={made} onChange={change} />
      )}
      {version.value && !isLocal && kind !== 'archive' && (
        <Push made={made} onChange={change} />
      )}
      <ImageFieldset
        values={values}
        onChange={part => setValues(now => ({ ...now, ...part }))}
        error={action.error}
        isKeeper={keepsCatalog(me)}
      />
    </FormPage>
  );
}

interface IPartProps {
  made: Private.IMade;
  onChange: (part: Partial<Private.IMade>) => void;
}

/**
 * What `docker build` takes beside the file.
 */
function Dockerfile({ made, onChange }: IPartProps): JSX.Element {
  const { trans } = useKpl();
  return (
    <details className="kpl-Fold">
      <summary>{trans.__('Dockerfile')}</summary>
      <Field
        label={trans.__('Build arguments')}
        hint={trans.__('one KEY=VALUE a line')}
      >
        {(id, note) => (
          <textarea
            id={id}
            className="jp-mod-styled"
            rows={3}
            value={made.arguments}
            aria-describedby={note}
            onChange={event => onChange({ arguments: event.target.value })}
          />
        )}
      </Field>
      <TextField
        label={trans.__('Stage')}
        value={made.target}
        hint={trans.__('where to stop; empty: the last')}
        onChange={target => onChange({ target })}
      />
      <label className="kpl-Inline">
        <input
          type="checkbox"
          checked={!made.useCache}
          onChange={event => onChange({ useCache: !event.target.checked })}
        />
        {trans.__('Run every step anew')}
      </label>
    </details>
  );
}

/**
 * A registry to send it to.
 */
function Push({ made, onChange }: IPartProps): JSX.Element {
  const { trans } = useKpl();
  return (
    <details className="kpl-Fold">
      <summary>{trans.__('Send it to a registry too')}</summary>
      <TextField
        label={trans.__('Reference')}
        value={made.push}
        placeholder={Private.REFERENCE}
        onChange={push => onChange({ push })}
      />
      <LoginFields login={made.login} onChange={login => onChange({ login })} />
    </details>
  );
}

/**
 * A namespace for private helpers.
 */
namespace Private {
  export type Kind =
    'archive' | 'dockerfile' | 'environment' | 'folder' | 'requirements';

  export interface IMade {
    path: string;
    base: string;
    arguments: string;
    target: string;
    useCache: boolean;
    push: string;
    login: ILogin;
  }

  export const NOTHING: IMade = {
    path: '',
    base: '',
    arguments: '',
    target: '',
    useCache: true,
    push: '',
    login: NO_LOGIN
  };

  /**
   * An example; no language has another one.
   */
  export const REFERENCE = 'registry.example/team/torch:2.7';

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

  export function lines(text: string): string[] {
    return text
      .split('\n')
      .map(line => line.trim())
      .filter(Boolean);
  }

  /**
   * What is sent beside the path and what is said about the image.
   */
  export function source(made: IMade, kind: Kind) {
    const { base, login, push, target, useCache } = made;
    const isDocker = kind === 'dockerfile' || kind === 'folder';
    const pairs = lines(made.arguments).map(line => {
      const at = line.indexOf('=');
      return [line.slice(0, at), line.slice(at + 1)];
    });
    const docker = {
      ...(pairs.length > 0 && { arguments: Object.fromEntries(pairs) }),
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
   * The same as a command. The password is never part of a line: shells remember them.
   */
  export function command(
    made: IMade & { name: string },
    kind: Kind,
    options: string[]
  ): string {
    const { path, name, base, push, login } = made;
    if (kind === 'archive') {
      return wrapped(['kpl', 'image', 'load', name, `~/${path}`, ...options]);
    }
    const isFile = kind !== 'folder';
    const folder = isFile ? path.split('/').slice(0, -1).join('/') : path;
    const more = source(made, kind);
    const args = lines(made.arguments);
    const words = [
      'kpl',
      'image',
      'build',
      `~/${folder}`,
      '--tag',
      name,
      ...(isFile ? ['--file', `~/${path}`] : []),
      ...(more.base ? ['--from', base.trim()] : []),
      ...(more.dockerfile ? args.flatMap(line => ['--build-arg', line]) : []),
      ...(more.dockerfile && made.target.trim()
        ? ['--target', made.target.trim()]
        : []),
      ...(more.dockerfile && !made.useCache ? ['--no-cache'] : []),
      ...(more.push ? ['--push', push.trim()] : []),
      ...(more.push && login.username
        ? ['--username', login.username, '--password-stdin']
        : []),
      ...options
    ];
    const line = wrapped(words);
    return more.push && login.username ? `${line} < password.txt` : line;
  }
}
