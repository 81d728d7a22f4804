import * as React from 'react';

import type { Body } from '../../api/common';
import type { ImageCreate } from '../../api/types';
import { Notice } from '../../components/basic';
import { Summary, TextField, fieldError } from '../../components/form';
import { useKpl } from '../../context';
import { useRemote } from '../../hooks';
import { nameOf } from '../../names';
import { pythonValue } from '../../snippets';
import type { IFormProps } from '.';
import { EntryForm, REFERENCE, useEntry } from './entry';
import type { ILogin } from './login';
import { LoginFields, NO_LOGIN, commandWith, loginProblem } from './login';

/**
 * Add an image that is there already to the catalog: a reference of a registry or, on the local
 * engine, the folder of a Python environment.
 */
export function ImageForm(props: IFormProps): JSX.Element {
  const { client, trans } = useKpl();
  const version = useRemote(() => client.servers.version(), 'version');
  const isLocal = version.value?.engine === 'local';
  const [reference, setReference] = React.useState('');
  const [sent, setSent] = React.useState('');
  const [login, setLogin] = React.useState(NO_LOGIN);
  const entry = useEntry(Private.nameOfReference(reference));
  const { error } = entry.action;
  const isRefused = isLocal && entry.isKeeper === false;
  const body: Private.IBody = {
    name: entry.name.value,
    reference: reference.trim(),
    ...entry.facts,
    ...(login.username && { credentials: login })
  };
  const missing = isRefused
    ? trans.__('An administrator registers environments of this machine.')
    : reference.trim()
      ? loginProblem(trans, login)
      : isLocal
        ? trans.__('Name the folder of the environment.')
        : trans.__('Name what is to be registered.');
  const refused =
    fieldError(error, 'reference') ??
    (error?.code === 'invalid_reference' ? error.message : null);
  const submit = async (): Promise<void> => {
    setSent(body.reference);
    const image = await client.images.create(body);
    client.lists.images.put(image);
    props.onDone('images', image.id);
  };
  return (
    <EntryForm
      entry={entry}
      title={trans.__('Register image')}
      intro={trans.__(
        'Adds an image that is there already to the catalog. It is looked at before anything starts from it.'
      )}
      submit={trans.__('Register')}
      missing={missing}
      onSubmit={submit}
      summary={
        <Summary
          command={commandWith(login, [
            'kpl',
            'image',
            'register',
            body.name || 'NAME',
            body.reference || 'REFERENCE',
            ...entry.options
          ])}
          python={Private.python(body)}
        />
      }
      more={
        version.value && !isLocal && <Login login={login} onChange={setLogin} />
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
        placeholder={isLocal ? Private.FOLDER : REFERENCE}
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
    </EntryForm>
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
  export type IBody = Body<ImageCreate, 'name' | 'reference'>;

  /**
   * An example; no language has another one.
   */
  export const FOLDER = '/opt/environments/torch';

  /**
   * A first proposal: the last part of the path, without tag and digest.
   */
  export function nameOfReference(reference: string): string {
    return nameOf(reference.trim()).replace(/[:@].*$/, '');
  }

  export function python(body: IBody): string {
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
