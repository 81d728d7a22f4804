import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { TextField } from '../../components/form';
import { useKpl } from '../../context';
import { wrapped } from './taskbody';

/**
 * What a registry lets the platform in with.
 */
export interface ILogin {
  username: string;
  password: string;
}

/**
 * No sign-in.
 */
export const NO_LOGIN: ILogin = { username: '', password: '' };

/**
 * What is the matter with a sign-in: one half of it alone.
 */
export function loginProblem(
  trans: TranslationBundle,
  login: ILogin
): string | null {
  return Boolean(login.username) === Boolean(login.password)
    ? null
    : trans.__('A registry wants username and password, or neither.');
}

/**
 * A command that signs in. The password is never part of a line: shells remember them.
 */
export function commandWith(login: ILogin, words: string[]): string {
  return login.username
    ? `${wrapped([...words, '--username', login.username, '--password-stdin'])} < password.txt`
    : wrapped(words);
}

/**
 * Username and password of a registry.
 */
export function LoginFields(props: {
  login: ILogin;
  onChange: (login: ILogin) => void;
}): JSX.Element {
  const { trans } = useKpl();
  const { login, onChange } = props;
  return (
    <div className="kpl-Form-row">
      <TextField
        label={trans.__('Username')}
        value={login.username}
        onChange={username => onChange({ ...login, username })}
      />
      <TextField
        label={trans.__('Password or token')}
        type="password"
        value={login.password}
        hint={trans.__('stored encrypted, never shown again')}
        onChange={password => onChange({ ...login, password })}
      />
    </div>
  );
}
