import * as React from 'react';

import type { Body } from '../../api/common';
import type { ImageCreate } from '../../api/types';
import { Notice } from '../../components/basic';
import {
  FormPage,
  Summary,
  TextField,
  fieldError
} from '../../components/form';
import { useKpl } from '../../context';
import { useRemote } from '../../hooks';
import { useSending } from '../../hooks/form';
import { keepsCatalog, useMe } from '../../hooks/me';
import { nameOf, nameProblem } from '../../names';
import { pythonValue } from '../../snippets';
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
 * Add an image that is there already to the catalog: a reference of a registry or, on the local
 * engine, the folder of a Python environment.
 */
export function ImageForm(props: IFormProps): JSX.Element {
  const { client, trans } = useKpl();
  const action = useSending();
  const me = useMe();
  const version = useRemote(() => client.servers.version(), 'version');
  const isLocal = version.value?.engine === 'local';
  const isKeeper = keepsCatalog(me);
  const isRefused = isLocal && me !== null && !isKeeper;
  const [reference, setReference] = React.useState('');
  const [typed, setTyped] = React.useState<string | null>(null);
  const [sent, setSent] = React.useState('');
  const [login, setLogin] = React.useState(NO_LOGIN);
  const [values, setValues] = React.useState<IImageValues>(NO_VALUES);
  const name = typed ?? Private.nameOfReference(reference);
  const nameError = nameProblem(trans, name);
  const body: Body<ImageCreate, 'name' | 'reference'> = {
    name: name.trim(),
    reference: reference.trim(),
    ...changedFields(values, NO_VALUES),
    ...(login.username && { credentials: login })
  };
  const [problem = null] = Object.values(problemsOf(trans, values));
  const missing = isRefused
    ? trans.__('An administrator registers environments of this machine.')
    : reference.trim() === ''
      ? isLocal
        ? trans.__('Name the folder of the environment.')
        : trans.__('Name what is to be registered.')
      : name.trim() === ''
        ? trans.__('Give it a name.')
        : isHalf(login)
          ? trans.__('A registry wants username and password, or neither.')
          : (nameError ?? problem);
  const refused =
    fieldError(action.error, 'reference') ??
    (action.error?.code === 'invalid_reference' ? action.error.message : null);
  const submit = async (): Promise<void> => {
    setSent(body.reference);
    const image = await client.images.create(body);
    client.lists.images.put(image);
    props.onDone('images', image.id);
  };
  return (
    <FormPage
      title={trans.__('Register image')}
      intro={trans.__(
        'Adds an image that is there already to the catalog. It is looked at before anything starts from it.'
      )}
      submit={trans.__('Register')}
      action={action}
      missing={missing}
      onSubmit={() => action.run(submit)}
      summary={
        <Summary
          command={Private.command(body)}
          python={Private.python(body)}
        />
      }
    >
      {isRefused && (
        <Notice tone="info">
          {trans.__(
            'This installation has no registry: an image is the folder of a Python environment on its machine, and an administrator registers it.'
          )}
        </Notice>
      )}
      <TextField
        label={
          isLocal
            ? trans.__('Folder of the environment')
            : trans.__('Reference')
        }
        value={reference}
        placeholder={isLocal ? Private.FOLDER : Private.REFERENCE}
        hint={
          isLocal
            ? trans.__(
                'On this installation an image is a Python environment of its machine: the folder above bin/python, as python3 -m venv makes it. Notebook servers need JupyterLab and kpl-lab in it; tasks and services do not.'
              )
            : trans.__('As docker pull takes it.')
        }
        error={sent === body.reference ? refused : null}
        onChange={setReference}
      />
      <TextField
        label={trans.__('Name')}
        value={name}
        hint={trans.__('How commands and environment.yml call it.')}
        error={nameError ?? fieldError(action.error, 'name')}
        onChange={setTyped}
      />
      {version.value && !isLocal && <Login login={login} onChange={setLogin} />}
      <ImageFieldset
        values={values}
        onChange={part => setValues(now => ({ ...now, ...part }))}
        error={action.error}
        isKeeper={isKeeper}
      />
    </FormPage>
  );
}

/**
 * The sign-in; folded, since most registries need none.
 */
function Login(props: {
  login: ILogin;
  onChange: (login: ILogin) => void;
}): JSX.Element {
  const { trans } = useKpl();
  return (
    <details className="kpl-Fold">
      <summary>{trans.__('Sign in to the registry')}</summary>
      <LoginFields {...props} />
    </details>
  );
}

/**
 * A namespace for private helpers.
 */
namespace Private {
  /**
   * Examples; no language has other ones.
   */
  export const FOLDER = '/opt/environments/torch';
  export const REFERENCE = 'registry.example/team/torch:2.7';

  /**
   * A first proposal: the last part of the path, without tag and digest.
   */
  export function nameOfReference(reference: string): string {
    return nameOf(reference.trim()).replace(/[:@].*$/, '');
  }

  /**
   * The password is never part of a line: shells remember them.
   */
  export function command(
    body: Body<ImageCreate, 'name' | 'reference'>
  ): string {
    const line = wrapped([
      'kpl',
      'image',
      'register',
      body.name || 'NAME',
      body.reference || 'REFERENCE',
      ...optionsOf(body),
      ...(body.credentials
        ? ['--username', body.credentials.username, '--password-stdin']
        : [])
    ]);
    return body.credentials ? `${line} < password.txt` : line;
  }

  export function python(
    body: Body<ImageCreate, 'name' | 'reference'>
  ): string {
    const { credentials, ...fields } = body;
    const args = Object.entries({
      ...fields,
      name: body.name || 'NAME',
      reference: body.reference || 'REFERENCE'
    }).map(([field, value]) => `    ${field}=${pythonValue(value)},`);
    return [
      ...(credentials ? ['from getpass import getpass', ''] : []),
      'from kpl_lab.client import connect',
      'from kpl_lab.schemas.images import ImageCreate',
      '',
      'body = ImageCreate(',
      ...args,
      ...(credentials
        ? [
            `    credentials={"username": ${pythonValue(credentials.username)}, "password": getpass()},`
          ]
        : []),
      ')',
      'image = connect().images.register(body)',
      'print(image.state)'
    ].join('\n');
  }
}
