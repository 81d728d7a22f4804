import {
  addIcon,
  caretDownIcon,
  caretUpIcon,
  closeIcon
} from '@jupyterlab/ui-components';
import type { ReadonlyJSONObject } from '@lumino/coreutils';
import type {
  ArrayFieldTemplateProps,
  FieldTemplateProps,
  ObjectFieldTemplateProps,
  RJSFSchema,
  TemplatesType
} from '@rjsf/utils';
import * as React from 'react';

import { Button, IconButton } from '../../components/basic';
import { useKpl } from '../../context';

/**
 * What a value of a list is called; empty outside of lists.
 */
const ItemName = React.createContext('');

/**
 * A value with its label above and its help below, as `Field` draws those of our own forms.
 */
function ValueField(
  props: FieldTemplateProps<ReadonlyJSONObject>
): JSX.Element {
  const { id, label, schema, displayLabel, rawErrors = [], children } = props;
  const item = React.useContext(ItemName);
  if (schema.type === 'object' || schema.type === 'array') {
    // Their own templates have label and help.
    return children;
  }
  return (
    <div
      className="kpl-Field"
      data-invalid={rawErrors.length > 0 || undefined}
      data-item={item !== '' || undefined}
    >
      {(item || displayLabel) && (
        <label htmlFor={id} className={item ? 'kpl-spoken' : undefined}>
          {item || label}
        </label>
      )}
      {children}
      <Note id={id} schema={schema} errors={rawErrors} />
    </div>
  );
}

/**
 * A list of values: each can be moved and taken out, and there is room for one more.
 */
function ListField(
  props: ArrayFieldTemplateProps<ReadonlyJSONObject>
): JSX.Element {
  const { trans } = useKpl();
  const { idSchema, schema, title, items, canAdd, rawErrors } = props;
  const id = idSchema.$id;
  return (
    <div
      className="kpl-Field kpl-List"
      role="group"
      aria-labelledby={`${id}__title`}
      aria-describedby={`${id}__description`}
    >
      <span id={`${id}__title`}>{title}</span>
      {items.map(item => (
        <div key={item.key} className="kpl-Inline">
          <div className="kpl-grow">
            <ItemName.Provider
              value={trans.__('%1, value %2', title, item.index + 1)}
            >
              {item.children}
            </ItemName.Provider>
          </div>
          <IconButton
            icon={caretUpIcon}
            label={trans.__('Move up')}
            disabled={!item.hasMoveUp}
            onClick={item.onReorderClick(item.index, item.index - 1)}
          />
          <IconButton
            icon={caretDownIcon}
            label={trans.__('Move down')}
            disabled={!item.hasMoveDown}
            onClick={item.onReorderClick(item.index, item.index + 1)}
          />
          <IconButton
            icon={closeIcon}
            label={trans.__('Remove')}
            onClick={item.onDropIndexClick(item.index)}
          />
        </div>
      ))}
      {canAdd && (
        <div>
          <Button icon={addIcon} onClick={props.onAddClick}>
            {trans.__('Add a value')}
          </Button>
        </div>
      )}
      <Note id={id} schema={schema} errors={rawErrors ?? []} />
    </div>
  );
}

/**
 * Parameters that belong together.
 */
function GroupField(
  props: ObjectFieldTemplateProps<ReadonlyJSONObject>
): JSX.Element {
  const { idSchema, schema, title, properties } = props;
  const id = idSchema.$id;
  const fields = (
    <ItemName.Provider value="">
      {properties.map(property => property.content)}
    </ItemName.Provider>
  );
  if (!title) {
    return fields;
  }
  return (
    <div
      className="kpl-Group"
      role="group"
      aria-labelledby={`${id}__title`}
      aria-describedby={`${id}__description`}
    >
      <div id={`${id}__title`} className="kpl-Group-title">
        {title}
      </div>
      <Note id={id} schema={schema} errors={[]} />
      <div className="kpl-Group-fields">{fields}</div>
    </div>
  );
}

/**
 * What is wrong, or in its place the help. The fields of rjsf name it by this id.
 */
function Note(props: {
  id: string;
  schema: RJSFSchema;
  errors: string[];
}): JSX.Element | null {
  const { id, schema, errors } = props;
  const isWrong = errors.length > 0;
  const words = isWrong ? errors.join(' ') : schema.description;
  return words ? (
    <span
      id={`${id}__description`}
      className={isWrong ? 'kpl-Field-error' : 'kpl-quiet'}
      role={isWrong ? 'alert' : undefined}
    >
      {words}
    </span>
  ) : null;
}

/**
 * How rjsf draws the parameters of code: as the fields of our own forms.
 */
export const TEMPLATES: Partial<TemplatesType<ReadonlyJSONObject>> = {
  ArrayFieldTemplate: ListField,
  // A checkbox would put the help before itself.
  DescriptionFieldTemplate: () => null,
  FieldTemplate: ValueField,
  ObjectFieldTemplate: GroupField
};
