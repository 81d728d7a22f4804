import { Clipboard } from '@jupyterlab/apputils';
import type { LabIcon } from '@jupyterlab/ui-components';
import { checkIcon, copyIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import { useKpl } from '../context';
import { ago, exact } from '../format';
import { useNow } from '../hooks';
import type { PlatformError } from '../request';
import { said } from '../said';
import { stateIcon, stateTone, stateWords } from '../states';

/**
 * Join class names, leaving out what is false.
 */
export function classes(...names: (string | false | undefined)[]): string {
  return names.filter(Boolean).join(' ');
}

/**
 * A state as an icon and, unless it stands beside the words anyhow, a spoken label.
 */
export function StateIcon(props: {
  state: string;
  kind?: string;
}): JSX.Element {
  const { trans } = useKpl();
  const Icon = stateIcon(props.state, props.kind).react;
  return (
    <span
      className="kpl-StateIcon"
      data-tone={stateTone(props.state, props.kind)}
      title={stateWords(trans, props.state)}
    >
      <Icon tag={null} width="14px" height="14px" />
    </span>
  );
}

/**
 * A state as a small label with icon and words.
 */
export function StateChip(props: {
  state: string;
  kind?: string;
  words?: string;
}): JSX.Element {
  const { trans } = useKpl();
  const { state, kind, words } = props;
  return (
    <span className="kpl-StateChip" data-tone={stateTone(state, kind)}>
      <StateIcon state={state} kind={kind} />
      <span>{words ?? stateWords(trans, state)}</span>
    </span>
  );
}

/**
 * A letter or sign in a small square, in place of an icon; the name stands beside it.
 */
export function Letter(props: { children: string }): JSX.Element {
  return (
    <span className="kpl-Letter" aria-hidden>
      {props.children}
    </span>
  );
}

/**
 * A text button.
 */
export function Button(props: {
  children: React.ReactNode;
  onClick?: () => void;
  look?: 'accept' | 'warn' | 'plain' | 'link';
  icon?: LabIcon;
  disabled?: boolean;
  title?: string;
  type?: 'button' | 'submit';
}): JSX.Element {
  const { look = 'plain', icon } = props;
  const Icon = icon?.react;
  return (
    <button
      type={props.type ?? 'button'}
      className={
        look === 'link'
          ? 'kpl-LinkButton'
          : classes(
              'jp-mod-styled kpl-Button',
              look === 'accept' && 'jp-mod-accept',
              look === 'warn' && 'jp-mod-warn',
              look === 'plain' && 'jp-mod-reject'
            )
      }
      disabled={props.disabled}
      title={props.title}
      onClick={props.onClick}
    >
      {Icon && <Icon tag="span" className="kpl-Button-icon" width="14px" />}
      <span>{props.children}</span>
    </button>
  );
}

/**
 * A small button with an icon alone; its label is its tool tip and its name.
 */
export function IconButton(props: {
  icon: LabIcon;
  label: string;
  onClick: (event: React.MouseEvent) => void;
  disabled?: boolean;
  pressed?: boolean;
}): JSX.Element {
  const Icon = props.icon.react;
  return (
    <button
      type="button"
      className="kpl-IconButton"
      title={props.label}
      aria-label={props.label}
      aria-pressed={props.pressed}
      disabled={props.disabled}
      onClick={event => {
        event.stopPropagation();
        props.onClick(event);
      }}
    >
      <Icon tag="span" width="16px" height="16px" />
    </button>
  );
}

/**
 * How long ago something happened, with the exact time on hover.
 */
export function TimeAgo(props: { time: string }): JSX.Element {
  const { trans } = useKpl();
  const now = useNow();
  return (
    <time dateTime={props.time} title={exact(props.time)}>
      {ago(trans, props.time, now)}
    </time>
  );
}

/**
 * What went wrong, and the button that may help.
 */
export function ErrorNotice(props: {
  error: PlatformError;
  retry?: () => void;
}): JSX.Element {
  const { trans } = useKpl();
  const { error, retry } = props;
  const head = Private.errorHead(error.status, trans);
  return (
    <div className="kpl-Notice" data-tone="bad" role="alert">
      <StateIcon state="failed" />
      <div className="kpl-Notice-text">
        {head && <strong>{head}</strong>}
        <p>{said(trans, error.message)}</p>
        {error.requestId && (
          <p className="kpl-quiet">{trans.__('Request %1', error.requestId)}</p>
        )}
      </div>
      {retry && <Button onClick={retry}>{trans.__('Try again')}</Button>}
    </div>
  );
}

/**
 * Something worth knowing, in a box.
 */
export function Notice(props: {
  tone: 'bad' | 'warn' | 'info';
  title?: string;
  children: React.ReactNode;
}): JSX.Element {
  const state = props.tone === 'bad' ? 'failed' : 'degraded';
  return (
    <div className="kpl-Notice" data-tone={props.tone}>
      {props.tone !== 'info' && <StateIcon state={state} />}
      <div className="kpl-Notice-text">
        {props.title && <strong>{props.title}</strong>}
        <div>{props.children}</div>
      </div>
    </div>
  );
}

/**
 * What a view shows where there is nothing yet.
 */
export function Empty(props: {
  text: string;
  action?: string;
  onAction?: () => void;
}): JSX.Element {
  return (
    <div className="kpl-Empty">
      <p>{props.text}</p>
      {props.action && props.onAction && (
        <Button onClick={props.onAction}>{props.action}</Button>
      )}
    </div>
  );
}

/**
 * Grey bars in the place of what is being read; they appear after a moment.
 */
export function Skeleton(props: { rows?: number }): JSX.Element {
  const { trans } = useKpl();
  const rows = Array.from({ length: props.rows ?? 3 }, (_, row) => row);
  return (
    <div
      className="kpl-Skeleton"
      role="status"
      aria-label={trans.__('Loading')}
    >
      {rows.map(row => (
        <div key={row} className="kpl-Skeleton-row" />
      ))}
    </div>
  );
}

/**
 * Facts as a list of names and values; empty values are left out.
 */
export function Facts(props: {
  items: [string, React.ReactNode][];
}): JSX.Element {
  return (
    <dl className="kpl-Facts">
      {props.items
        .filter(([, value]) => value !== null && value !== '')
        .map(([name, value]) => (
          <React.Fragment key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </React.Fragment>
        ))}
    </dl>
  );
}

/**
 * A share of something as a bar; the words stand beside it.
 */
export function Meter(props: {
  value: number;
  limit: number;
  label: string;
  tone?: 'busy' | 'warn' | 'bad';
}): JSX.Element {
  const share = props.limit > 0 ? Math.min(1, props.value / props.limit) : 0;
  return (
    <div
      className="kpl-Meter"
      role="meter"
      aria-label={props.label}
      aria-valuemin={0}
      aria-valuemax={props.limit}
      aria-valuenow={props.value}
      data-tone={props.tone ?? 'busy'}
    >
      <div className="kpl-Meter-fill" style={{ width: `${share * 100}%` }} />
    </div>
  );
}

/**
 * Code that is there to be copied.
 */
export function CopyBlock(props: { label: string; text: string }): JSX.Element {
  const { trans } = useKpl();
  const [isCopied, setCopied] = React.useState(false);
  React.useEffect(() => {
    const timer = window.setTimeout(() => setCopied(false), 2000);
    return () => window.clearTimeout(timer);
  }, [isCopied]);
  return (
    <figure className="kpl-CopyBlock">
      <figcaption>
        <span>{props.label}</span>
        <IconButton
          icon={isCopied ? checkIcon : copyIcon}
          label={isCopied ? trans.__('Copied') : trans.__('Copy')}
          onClick={() => {
            Clipboard.copyToSystem(props.text);
            setCopied(true);
          }}
        />
      </figcaption>
      <pre tabIndex={0}>{props.text}</pre>
    </figure>
  );
}

/**
 * A namespace for private helpers.
 */
namespace Private {
  export function errorHead(
    status: number,
    trans: ReturnType<typeof useKpl>['trans']
  ): string | null {
    if (status === 0) {
      return trans.__('The notebook server does not answer.');
    }
    if (status === 403) {
      return trans.__('You may not do this.');
    }
    if (status === 404) {
      return trans.__('This is not there, or not shared with you.');
    }
    if (status >= 502 && status <= 504) {
      return trans.__('The platform does not answer.');
    }
    return null;
  }
}
