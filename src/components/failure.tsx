import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import type { Remedy } from '../api/types';
import { useKpl } from '../context';
import { said } from '../said';
import { Notice } from './basic';

/**
 * Why something does not work, what to do about it, who can, and how long that takes.
 */
export function FailureNotice(props: {
  tone: 'bad' | 'warn';
  /** What stands above it where the cause is not known. */
  title?: string;
  message?: string | null;
  remedy?: Remedy | null;
}): JSX.Element {
  const { trans } = useKpl();
  const { message, remedy } = props;
  return (
    <Notice tone={props.tone} title={said(trans, remedy?.cause) || props.title}>
      {message && !(remedy && message.startsWith(remedy.cause)) && (
        <p>{said(trans, message)}</p>
      )}
      {remedy && (
        <p>
          <strong>{trans.__('What to do:')}</strong>{' '}
          {said(trans, remedy.action)}
        </p>
      )}
      {remedy && (
        <p>
          <strong>{trans.__('Who can mend it:')}</strong>{' '}
          {who(trans, remedy.who)}
        </p>
      )}
      {remedy?.usual_duration && (
        <p>
          <strong>{trans.__('Usually takes:')}</strong>{' '}
          {said(trans, remedy.usual_duration)}
        </p>
      )}
    </Notice>
  );
}

function who(trans: TranslationBundle, word: string): string {
  switch (word) {
    case 'admin':
      return trans.__('an administrator');
    case 'platform':
      return trans.__('the platform itself');
    default:
      return trans.__('whoever started it');
  }
}
