import * as React from 'react';

import { SelectField, TextField, fieldError } from '../../components/form';
import { NumberField } from '../../components/number';
import { PairsField } from '../../components/pairs';
import { useKpl } from '../../context';
import type { PlatformError } from '../../request';
import { visibilityWords } from '../../words';
import type { Amounts, IImageValues } from './values';
import { problemsOf } from './values';

/**
 * What every group of fields is given.
 */
interface IFieldsProps {
  values: IImageValues;
  onChange: (change: Partial<IImageValues>) => void;

  /**
   * Why the platform refused the last try.
   */
  error: PlatformError | null;
}

/**
 * What may be said about an image: the card, who may use it, resources, and what few change.
 */
export function ImageFieldset(
  props: IFieldsProps & {
    /**
     * Whether the user decides about everybody's images.
     */
    isKeeper: boolean;
  }
): JSX.Element {
  const { trans } = useKpl();
  return (
    <>
      <Card {...props} />
      <Sharing {...props} />
      <h2>{trans.__('Resources of a notebook server')}</h2>
      <AmountFields
        {...props}
        name="defaults"
        field="default_resources"
        title={trans.__('By default')}
      />
      <AmountFields
        {...props}
        name="maximum"
        field="max_resources"
        title={trans.__('At most')}
      />
      <More {...props} />
    </>
  );
}

/**
 * What its card on the start page says.
 */
function Card({ values, onChange, error }: IFieldsProps): JSX.Element {
  const { trans } = useKpl();
  return (
    <>
      <TextField
        label={trans.__('Title')}
        value={values.title}
        error={fieldError(error, 'title')}
        hint={trans.__('What its card says; its name otherwise.')}
        onChange={title => onChange({ title })}
      />
      <TextField
        label={trans.__('Description')}
        value={values.description}
        error={fieldError(error, 'description')}
        onChange={description => onChange({ description })}
      />
      <div className="kpl-Form-row">
        <TextField
          label={trans.__('Framework')}
          value={values.framework}
          error={fieldError(error, 'framework')}
          onChange={framework => onChange({ framework })}
        />
        <TextField
          label={trans.__('Sign')}
          value={values.icon}
          hint={trans.__('a letter or two; the framework’s first otherwise')}
          error={fieldError(error, 'icon')}
          onChange={icon => onChange({ icon })}
        />
        <SelectField
          label={trans.__('Made for')}
          value={values.accelerator}
          onChange={chosen =>
            onChange({ accelerator: chosen as IImageValues['accelerator'] })
          }
          options={[
            { value: 'cpu', label: trans.__('CPU') },
            { value: 'gpu', label: trans.__('GPU') }
          ]}
        />
      </div>
    </>
  );
}

/**
 * Who may use it.
 */
function Sharing(props: IFieldsProps & { isKeeper: boolean }): JSX.Element {
  const { trans } = useKpl();
  const { values, onChange, error, isKeeper } = props;
  const offered = ['private', 'workspace', 'public'].map(value => ({
    value,
    label: visibilityWords(trans, value)
  }));
  if (isKeeper || values.visibility === 'preset') {
    offered.push({
      value: 'preset',
      label: trans.__('everybody, as a preset')
    });
  }
  return (
    <div className="kpl-Form-row">
      <SelectField
        label={trans.__('Visible to')}
        value={values.visibility}
        error={fieldError(error, 'visibility')}
        options={offered}
        onChange={chosen =>
          onChange({ visibility: chosen as IImageValues['visibility'] })
        }
      />
      {values.visibility !== 'private' && (
        <TextField
          label={trans.__('Only these groups')}
          value={values.groups}
          hint={trans.__('groups of the hub, with commas; empty: all')}
          error={fieldError(error, 'groups')}
          onChange={groups => onChange({ groups })}
        />
      )}
    </div>
  );
}

/**
 * What a server gets by default, or at most.
 */
function AmountFields(
  props: IFieldsProps & {
    name: 'defaults' | 'maximum';

    /**
     * What the platform calls them.
     */
    field: string;
    title: string;
  }
): JSX.Element {
  const { trans } = useKpl();
  const { values, name, field, title, onChange, error } = props;
  const amounts = values[name];
  const problem = problemsOf(trans, values)[name];
  const change = (part: Partial<Amounts>): void =>
    onChange({ [name]: { ...amounts, ...part } });
  const of = (key: keyof Amounts): string | null =>
    fieldError(error, `${field}.${key}`);
  return (
    <div className="kpl-Group" role="group" aria-label={title}>
      <div className="kpl-Group-title">{title}</div>
      <div className="kpl-Group-fields">
        <div className="kpl-Form-row">
          <NumberField
            label={trans.__('CPU cores')}
            value={amounts.cpu}
            step={0.5}
            min={0.5}
            error={of('cpu')}
            onChange={cpu => change({ cpu })}
          />
          <NumberField
            label={trans.__('Memory, MiB')}
            value={amounts.memory}
            step={256}
            min={16}
            error={of('memory')}
            onChange={memory => change({ memory })}
          />
          <NumberField
            label={trans.__('GPUs')}
            value={amounts.gpu}
            error={of('gpu')}
            onChange={gpu => change({ gpu })}
          />
          <NumberField
            label={trans.__('Shared memory, MiB')}
            value={amounts.shm}
            step={64}
            error={of('shm')}
            onChange={shm => change({ shm })}
          />
        </div>
        {problem && (
          <span className="kpl-Field-error" role="alert">
            {problem}
          </span>
        )}
      </div>
    </div>
  );
}

/**
 * What few change; folded.
 */
function More({ values, onChange, error }: IFieldsProps): JSX.Element {
  const { trans } = useKpl();
  const problems = problemsOf(trans, values);
  return (
    <details className="kpl-Fold">
      <summary>{trans.__('Advanced')}</summary>
      <TextField
        label={trans.__('Further names')}
        value={values.aliases}
        hint={trans.__('for from_image in environment.yml, with commas')}
        error={fieldError(error, 'aliases')}
        onChange={aliases => onChange({ aliases })}
      />
      <TextField
        label={trans.__('Documentation')}
        value={values.documentation}
        placeholder={trans.__('https://…')}
        error={problems.documentation ?? fieldError(error, 'documentation')}
        onChange={documentation => onChange({ documentation })}
      />
      <PairsField
        label={trans.__('Environment variables')}
        value={values.variables}
        error={problems.variables ?? fieldError(error, 'variables')}
        onChange={variables => onChange({ variables })}
      />
    </details>
  );
}
