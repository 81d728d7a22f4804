import * as React from 'react';

import type { IWatch } from '../../api/local';
import {
  PathField,
  Summary,
  TextField,
  fieldError
} from '../../components/form';
import { PairsField } from '../../components/pairs';
import { useKpl } from '../../context';
import { useRemote } from '../../hooks';
import { homePath, pathProblem } from '../../names';
import { pairsProblem } from '../../pairs';
import type { IFormProps } from '.';
import type { IMade } from './buildbody';
import {
  NOTHING,
  buildCommand,
  buildSource,
  kindOf,
  nameFrom
} from './buildbody';
import { EntryForm, REFERENCE, useEntry } from './entry';
import { LoginFields, loginProblem } from './login';
import { SecretFields, secretsProblem } from './secrets';

/**
 * Make an image of a folder or file of the home, or load one that was saved as a tar.
 */
export function BuildForm(props: IFormProps): JSX.Element {
  const { client, trans } = useKpl();
  const { start, onDone } = props;
  const version = useRemote(() => client.servers.version(), 'version');
  const isLocal = version.value?.engine === 'local';
  const [made, setMade] = React.useState<IMade>({
    ...NOTHING,
    path: start.path ?? ''
  });
  const change = (part: Partial<IMade>): void =>
    setMade(now => ({ ...now, ...part }));
  const path = homePath(made.path);
  const kind = kindOf(path);
  const isDocker = !isLocal && (kind === 'dockerfile' || kind === 'folder');
  const entry = useEntry(nameFrom(path));
  const { error } = entry.action;
  const missing =
    path === ''
      ? trans.__('Choose what it is made of.')
      : (pairsProblem(trans, made.arguments, 'arguments') ??
        secretsProblem(trans, isDocker ? made.secrets : []) ??
        loginProblem(trans, made.login));
  const submit = async (watch: IWatch): Promise<void> => {
    const body = {
      ...entry.facts,
      ...buildSource(made, kind),
      path,
      name: entry.name.value
    };
    // What is on its way is held here no longer, even where it is refused.
    change({ secrets: made.secrets.map(one => ({ ...one, value: '' })) });
    const build = await client.local.createBuild(body, watch);
    client.lists.builds.put(build);
    onDone('builds', build.id);
  };
  return (
    <EntryForm
      entry={entry}
      title={trans.__('Build image')}
      intro={trans.__(
        'The platform makes an image outside of this server and puts it into the catalog. A name of yours that is taken becomes the new image.'
      )}
      submit={kind === 'archive' ? trans.__('Load') : trans.__('Build')}
      missing={missing}
      onSubmit={submit}
      summary={
        <Summary
          command={buildCommand(
            { ...made, path: path || 'DIR', name: entry.name.value || 'NAME' },
            kind,
            entry.options
          )}
        />
      }
      more={
        <>
          {kind === 'requirements' && (
            <TextField
              label={trans.__('Base image')}
              value={made.base}
              hint={trans.__(
                'what the packages are added to; empty: the default'
              )}
              error={fieldError(error, 'base')}
              onChange={base => change({ base })}
            />
          )}
          {isDocker && <Dockerfile made={made} onChange={change} />}
          {version.value && !isLocal && kind !== 'archive' && (
            <Push made={made} onChange={change} />
          )}
        </>
      }
    >
      <PathField
        label={trans.__('Folder or file')}
        value={made.path}
        onChange={chosen => change({ path: chosen })}
        error={pathProblem(trans, error, path) ?? fieldError(error, 'path')}
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
    </EntryForm>
  );
}

interface IPartProps {
  made: IMade;
  onChange: (part: Partial<IMade>) => void;
}

/**
 * What `docker build` takes beside the file.
 */
function Dockerfile({ made, onChange }: IPartProps): JSX.Element {
  const { trans } = useKpl();
  return (
    <details className="kpl-Fold">
      <summary>{trans.__('Dockerfile')}</summary>
      <PairsField
        label={trans.__('Build arguments')}
        value={made.arguments}
        error={pairsProblem(trans, made.arguments, 'arguments')}
        onChange={value => onChange({ arguments: value })}
      />
      <SecretFields
        secrets={made.secrets}
        onChange={secrets => onChange({ secrets })}
      />
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
        placeholder={REFERENCE}
        onChange={push => onChange({ push })}
      />
      <LoginFields login={made.login} onChange={login => onChange({ login })} />
    </details>
  );
}
