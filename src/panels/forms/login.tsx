import * as React from 'react';

import { TextField } from '../../components/form';
import { useKpl } from '../../context';

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
 * Whether one half of a sign-in is missing.
 */
export function isHalf(login: ILogin): boolean {
  return Boolean(login.username) !== Boolean(login.password);
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
