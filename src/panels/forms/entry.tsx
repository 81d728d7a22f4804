import * as React from 'react';

import { FormPage } from '../../components/form';
import { useKpl } from '../../context';
import type { ISending } from '../../hooks/form';
import { useSending } from '../../hooks/form';
import { keepsCatalog, useMe } from '../../hooks/me';
import { ImageFieldset } from '../images/fields';
import type { ImageFields } from '../images/values';
import {
  NO_VALUES,
  changedFields,
  optionsOf,
  problemsOf
} from '../images/values';
import type { IName } from './name';
import { NameField, useName } from './name';

/**
 * A reference of a registry as an example; no language has another one.
 */
export const REFERENCE = 'registry.example/team/torch:2.7';

/**
 * An entry of the catalog that is being written: what all forms that make an image hold.
 */
export interface IEntry {
  name: IName;

  /**
   * What is said about the image otherwise than by default, and the same as options of a command.
   */
  facts: ImageFields;
  options: string[];

  /**
   * What is the matter with name and facts; null for nothing.
   */
  missing: string | null;

  /**
   * Whether the user decides about everybody's images; null before that is known.
   */
  isKeeper: boolean | null;
  action: ISending;
  fields: Pick<Parameters<typeof ImageFieldset>[0], 'values' | 'onChange'>;
}

/**
 * Hold an entry of the catalog, with a proposal for its name.
 */
export function useEntry(proposal = ''): IEntry {
  const { trans } = useKpl();
  const action = useSending();
  const me = useMe();
  const name = useName(proposal, action.error);
  const [values, setValues] = React.useState(NO_VALUES);
  const facts = changedFields(values, NO_VALUES);
  const [problem = null] = Object.values(problemsOf(trans, values));
  return {
    name,
    facts,
    options: optionsOf(facts),
    missing: name.missing ?? problem,
    isKeeper: me && keepsCatalog(me),
    action,
    fields: {
      values,
      onChange: part => setValues(now => ({ ...now, ...part }))
    }
  };
}

/**
 * A form that makes an image: what it is made of, its name, and what is said about it.
 */
export function EntryForm(
  props: Omit<Parameters<typeof FormPage>[0], 'action' | 'onSubmit'> & {
    entry: IEntry;
    onSubmit: Parameters<ISending['run']>[0];

    /**
     * Fields that stand below the name.
     */
    more?: React.ReactNode;
  }
): JSX.Element {
  const { trans } = useKpl();
  const { children, entry, missing, more, onSubmit, ...page } = props;
  const { action } = entry;
  return (
    <FormPage
      {...page}
      action={action}
      missing={missing ?? entry.missing}
      onSubmit={() => action.run(onSubmit)}
    >
      {children}
      <NameField
        name={entry.name}
        hint={trans.__('How commands and environment.yml call it.')}
      />
      {more}
      <ImageFieldset
        {...entry.fields}
        error={action.error}
        isKeeper={entry.isKeeper ?? false}
      />
    </FormPage>
  );
}
