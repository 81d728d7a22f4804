import type { TranslationBundle } from '@jupyterlab/translation';
import { addIcon, closeIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import { Button, IconButton } from '../../components/basic';
import { TextField } from '../../components/form';
import { useKpl } from '../../context';

/**
 * What a Dockerfile reads without it becoming a part of the image.
 */
export interface ISecret {
  /**
   * Tells it from the others while it is typed.
   */
  key: number;
  id: string;
  value: string;
}

/**
 * What is wrong with an id that was typed; null for nothing, and while it is empty.
 */
function idProblem(
  trans: TranslationBundle,
  secret: ISecret,
  all: ISecret[]
): string | null {
  if (secret.id && !/^[A-Za-z0-9_][A-Za-z0-9_.-]*$/.test(secret.id)) {
    return trans.__('An id has letters, digits, dots, hyphens and “_” only.');
  }
  const first = all.find(one => one.id === secret.id);
  return secret.id && first !== secret
    ? trans.__('There is another secret “%1”.', secret.id)
    : null;
}

/**
 * What keeps secrets from being sent; null for nothing.
 */
export function secretsProblem(
  trans: TranslationBundle,
  secrets: ISecret[]
): string | null {
  for (const secret of secrets) {
    const problem =
      secret.id === ''
        ? trans.__('Give each secret an id, or remove it.')
        : idProblem(trans, secret, secrets);
    if (problem !== null) {
      return problem;
    }
  }
  const empty = secrets.find(one => one.value === '');
  return empty
    ? trans.__('Type the value of the secret “%1”.', empty.id)
    : null;
}

/**
 * The secrets of a build: what each is called, and its value, which is never shown.
 */
export function SecretFields(props: {
  secrets: ISecret[];
  onChange: (secrets: ISecret[]) => void;
}): JSX.Element {
  const { trans } = useKpl();
  const { secrets, onChange } = props;
  const box = React.useRef<HTMLDivElement>(null);
  const [wanted, setWanted] = React.useState<string | null>(null);
  React.useEffect(() => {
    if (wanted !== null) {
      box.current?.querySelector<HTMLElement>(wanted)?.focus();
      setWanted(null);
    }
  }, [wanted]);
  const change = (changed: ISecret): void =>
    onChange(secrets.map(one => (one.key === changed.key ? changed : one)));
  const add = (): void => {
    const key = Math.max(0, ...secrets.map(one => one.key)) + 1;
    onChange([...secrets, { key, id: '', value: '' }]);
    setWanted(`[data-key="${key}"] input`);
  };
  const remove = (secret: ISecret): void => {
    onChange(secrets.filter(one => one !== secret));
    setWanted('.kpl-Secrets-add button');
  };
  return (
    <div
      className="kpl-Group"
      role="group"
      aria-label={trans.__('Secrets')}
      ref={box}
    >
      <div className="kpl-Group-title">{trans.__('Secrets')}</div>
      <span className="kpl-quiet">
        {trans.__(
          'Passwords and tokens for steps of the Dockerfile. They become no part of the image, and are forgotten when the build ends. This step reads one:'
        )}
        <code className="kpl-Secrets-use">
          {Private.usage(secrets[0]?.id || 'ID')}
        </code>
      </span>
      <div className="kpl-Group-fields">
        {secrets.map((secret, index) => (
          <div
            key={secret.key}
            className="kpl-Secret"
            data-key={secret.key}
            role="group"
            aria-label={trans.__('Secret %1', index + 1)}
          >
            <TextField
              label={trans.__('Secret id')}
              value={secret.id}
              error={idProblem(trans, secret, secrets)}
              onChange={id => change({ ...secret, id: id.trim() })}
            />
            <TextField
              label={trans.__('Value')}
              type="password"
              value={secret.value}
              hint={trans.__('sent once, and to be typed again after that')}
              onChange={value => change({ ...secret, value })}
            />
            <IconButton
              icon={closeIcon}
              label={trans.__('Remove')}
              onClick={() => remove(secret)}
            />
          </div>
        ))}
        <div className="kpl-Secrets-add">
          <Button icon={addIcon} onClick={add}>
            {trans.__('Add a secret')}
          </Button>
        </div>
      </div>
    </div>
  );
}

/**
 * A namespace for private helpers.
 */
namespace Private {
  /**
   * A line of a Dockerfile, which does not print what it reads; no language has another one.
   */
  export function usage(id: string): string {
    return `RUN --mount=type=secret,id=${id} TOKEN="$(cat /run/secrets/${id})" ./install.sh`;
  }
}
