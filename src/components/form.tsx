import { folderIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import type { CapacityView } from '../api/types';
import { useKpl } from '../context';
import { bytes, memory, percent, trimmed } from '../format';
import { useCapacity } from '../hooks/capacity';
import { amountOf, poolOf } from '../pools';
import type { ISending } from '../hooks/form';
import type { PlatformError } from '../request';
import { said } from '../said';
import { Button, CopyBlock, ErrorNotice, Facts, Meter, Notice } from './basic';

/**
 * A form: what to decide on the left, on the right a card that keeps up with it.
 */
export function FormPage(props: {
  title: string;
  intro: string;
  submit: string;
  action: ISending;

  /**
   * What stops it from being sent, in words; null when nothing does.
   */
  missing: string | null;
  onSubmit: () => void;
  summary: React.ReactNode;
  children: React.ReactNode;
}): JSX.Element {
  const { trans } = useKpl();
  const { action, missing } = props;
  return (
    <form
      className="kpl-Form"
      noValidate
      onSubmit={event => {
        event.preventDefault();
        if (!missing && !action.isBusy) {
          props.onSubmit();
        }
      }}
    >
      <div className="kpl-Form-fields">
        <h1>{props.title}</h1>
        <p className="kpl-quiet">{props.intro}</p>
        {props.children}
      </div>
      <aside className="kpl-Form-card">
        {props.summary}
        {action.error && <ErrorNotice error={action.error} />}
        {missing && !action.isBusy && <p className="kpl-quiet">{missing}</p>}
        {action.progress && <Sending action={action} />}
        <Button
          type="submit"
          look="accept"
          disabled={action.isBusy || missing !== null}
        >
          {action.isBusy ? trans.__('Sending…') : props.submit}
        </Button>
      </aside>
    </form>
  );
}

/**
 * How far a send is, in words and as a bar, and the way out of it.
 */
function Sending(props: { action: ISending }): JSX.Element {
  const { trans } = useKpl();
  const { isCancelling, progress, cancel } = props.action;
  const { sent, total } = progress ?? { sent: 0, total: null };
  const words = isCancelling
    ? trans.__('Cancelling…')
    : total === null
      ? trans.__('Packing…')
      : sent < total
        ? trans.__(
            'Sent %1 of %2 (%3)',
            bytes(sent),
            bytes(total),
            percent(sent / total)
          )
        : trans.__('All is sent; the platform checks it…');
  return (
    <div className="kpl-Sending">
      <Meter value={sent} limit={total ?? 0} label={trans.__('Progress')} />
      <div className="kpl-Inline">
        <span className="kpl-grow" role="status">
          {words}
        </span>
        <Button disabled={isCancelling} onClick={cancel}>
          {trans.__('Cancel')}
        </Button>
      </div>
    </div>
  );
}

/**
 * A labelled field with a hint or, in its place, what is wrong with it.
 */
export function Field(props: {
  label: string;
  hint?: string;
  error?: string | null;
  children: (id: string, describedBy: string) => React.ReactNode;
}): JSX.Element {
  const { trans } = useKpl();
  const id = React.useId();
  const note = said(trans, props.error) || props.hint;
  return (
    <div className="kpl-Field" data-invalid={Boolean(props.error) || undefined}>
      <label htmlFor={id}>{props.label}</label>
      {props.children(id, `${id}-note`)}
      <span
        id={`${id}-note`}
        className={props.error ? 'kpl-Field-error' : 'kpl-quiet'}
        role={props.error ? 'alert' : undefined}
      >
        {note}
      </span>
    </div>
  );
}

/**
 * A line of text.
 */
export function TextField(props: {
  label: string;
  value: string;
  onChange: (value: string) => void;
  hint?: string;
  error?: string | null;
  placeholder?: string;

  /**
   * Whether it is hidden while it is typed.
   */
  type?: 'text' | 'password';
}): JSX.Element {
  const { label, hint, error, value, onChange, placeholder } = props;
  const { type = 'text' } = props;
  return (
    <Field label={label} hint={hint} error={error}>
      {(id, note) => (
        <input
          id={id}
          className="jp-mod-styled"
          type={type}
          autoComplete={type === 'password' ? 'new-password' : undefined}
          value={value}
          placeholder={placeholder}
          aria-describedby={note}
          aria-invalid={Boolean(error)}
          onChange={event => onChange(event.target.value)}
        />
      )}
    </Field>
  );
}

/**
 * One of several; the first is preselected.
 */
export function SelectField(props: {
  label: string;
  value: string;
  options: { value: string; label: string }[];
  onChange: (value: string) => void;
  hint?: string;
  error?: string | null;
}): JSX.Element {
  const { label, hint, error, value, options, onChange } = props;
  return (
    <Field label={label} hint={hint} error={error}>
      {(id, note) => (
        <select
          id={id}
          className="kpl-Select"
          value={value}
          aria-describedby={note}
          onChange={event => onChange(event.target.value)}
        >
          {options.map(option => (
            <option key={option.value} value={option.value}>
              {option.label}
            </option>
          ))}
        </select>
      )}
    </Field>
  );
}

/**
 * A folder or file of the home, typed or chosen.
 */
export function PathField(props: {
  label: string;
  value: string;
  onChange: (value: string) => void;
  hint?: string;
  error?: string | null;
}): JSX.Element {
  const { browse, trans } = useKpl();
  const { label, hint, error, value, onChange } = props;
  const choose = async (): Promise<void> => {
    const path = await browse();
    if (path !== null) {
      onChange(path);
    }
  };
  return (
    <Field label={label} hint={hint} error={error}>
      {(id, note) => (
        <div className="kpl-Inline">
          <input
            id={id}
            className="jp-mod-styled kpl-grow"
            type="text"
            value={value}
            aria-describedby={note}
            aria-invalid={Boolean(error)}
            onChange={event => onChange(event.target.value)}
          />
          <Button icon={folderIcon} onClick={() => void choose()}>
            {trans.__('Choose…')}
          </Button>
        </div>
      )}
    </Field>
  );
}

const KINDS = ['cpu', 'memory', 'gpu'] as const;

/**
 * What is asked for, before the words of the card.
 */
export interface IDemand {
  cpu: number;
  memory: number;
  gpu: number;

  /**
   * Resource pool; empty for one's first.
   */
  pool: string;

  /**
   * Whether it waits for its turn where there is no room now, or is refused.
   */
  waits: boolean;
}

/**
 * The card beside a form: what it takes, what is free, and the same thing elsewhere.
 */
export function Summary(props: {
  demand?: IDemand;
  command?: string;
  python?: string;
}): JSX.Element {
  const { trans } = useKpl();
  const { demand } = props;
  const capacity = useCapacity();
  return (
    <>
      <h2>{trans.__('Summary')}</h2>
      {demand && <Demand demand={demand} capacity={capacity} />}
      {props.command && (
        <CopyBlock
          label={trans.__('The same in a terminal')}
          text={props.command}
        />
      )}
      {props.python && (
        <CopyBlock label={trans.__('The same in Python')} text={props.python} />
      )}
    </>
  );
}

/**
 * What it takes and what is free now, with a warning where that is not enough.
 */
function Demand(props: {
  demand: IDemand;
  capacity: CapacityView | null;
}): JSX.Element {
  const { trans } = useKpl();
  const { demand, capacity } = props;
  const of = (wanted: string, free: string | null): string =>
    free === null ? wanted : trans.__('%1 · %2 free', wanted, free);
  const pool = poolOf(capacity, demand.pool);
  const there = capacity && {
    cpu: amountOf(capacity, demand.pool, 'cpu'),
    memory: amountOf(capacity, demand.pool, 'memory'),
    gpu: amountOf(capacity, demand.pool, 'gpu')
  };
  const free = there && {
    cpu: Math.max(0, there.cpu.limit - there.cpu.used),
    memory: Math.max(0, there.memory.limit - there.memory.used),
    gpu: Math.max(0, there.gpu.limit - there.gpu.used)
  };
  const never =
    there !== null && KINDS.some(kind => demand[kind] > there[kind].limit);
  const isShort =
    free !== null && KINDS.some(kind => demand[kind] > free[kind]);
  return (
    <>
      <Facts
        items={[
          [trans.__('Resource pool'), pool && pool.title],
          [
            trans.__('CPU'),
            of(trimmed(demand.cpu, 1), free && trimmed(free.cpu, 1))
          ],
          [
            trans.__('Memory'),
            of(memory(demand.memory), free && memory(free.memory))
          ],
          [
            trans.__('GPU'),
            demand.gpu > 0 || (there?.gpu.limit ?? 0) > 0
              ? of(String(demand.gpu), free && String(free.gpu))
              : null
          ]
        ]}
      />
      {never ? (
        <Notice tone="bad">
          {pool
            ? trans.__('This is more than this pool can ever give you.')
            : trans.__('This is more than the machine can ever give.')}
        </Notice>
      ) : (
        isShort && (
          <Notice tone="warn">
            {demand.waits
              ? trans._n(
                  'It will wait until this is free; %1 task is waiting now.',
                  'It will wait until this is free; %1 tasks are waiting now.',
                  capacity?.queued_tasks ?? 0
                )
              : trans.__(
                  'There is no room for it now, and services do not wait: ask for less, or stop something first.'
                )}
          </Notice>
        )
      )}
    </>
  );
}

/**
 * What the platform said about one field of the last try.
 */
export function fieldError(
  error: PlatformError | null,
  field: string
): string | null {
  const { field: single, fields } = error?.detail ?? {};
  if (single === field) {
    return error?.message ?? null;
  }
  if (!Array.isArray(fields)) {
    return null;
  }
  const found = (fields as { field?: string; message?: string }[]).find(
    item => item.field === field || item.field?.startsWith(`${field}.`)
  );
  return found?.message ?? null;
}
