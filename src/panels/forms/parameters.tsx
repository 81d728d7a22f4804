import type { TranslationBundle } from '@jupyterlab/translation';
import { FormComponent } from '@jupyterlab/ui-components';
import type { ReadonlyJSONObject } from '@lumino/coreutils';
import type {
  RJSFSchema,
  RJSFValidationError,
  UiSchema,
  ValidatorType
} from '@rjsf/utils';
import * as React from 'react';

import type { FormDescription } from '../../api/types';
import { Skeleton } from '../../components/basic';
import { useKpl } from '../../context';
import { TEMPLATES } from './fields';
import type { Values } from './taskbody';

type Validator = ValidatorType<ReadonlyJSONObject>;

/**
 * The parameters of `parameter.yml` as fields; comments of the file are the help texts.
 */
export function Parameters(props: {
  form: FormDescription;
  values: Values;
  onChange: (values: Values) => void;

  /**
   * Told whether the values can be sent, at first and whenever that changes.
   */
  onValid: (isValid: boolean) => void;
}): JSX.Element {
  const { trans } = useKpl();
  const { form, values, onChange, onValid } = props;
  const schema = React.useMemo(
    () => Private.strict(form.parameter_schema as RJSFSchema),
    [form.parameter_schema]
  );
  const [validator, setValidator] = React.useState<Validator | null>(null);
  React.useEffect(() => {
    let isMounted = true;
    void import('@rjsf/validator-ajv8').then(
      ({ customizeValidator }) =>
        isMounted && setValidator(customizeValidator<ReadonlyJSONObject>())
    );
    return () => {
      isMounted = false;
    };
  }, []);
  const isValid = React.useMemo(
    () =>
      validator?.isValid(schema, values as ReadonlyJSONObject, schema) ?? true,
    [schema, validator, values]
  );
  const told = React.useRef(onValid);
  told.current = onValid;
  React.useEffect(() => told.current(isValid), [isValid]);
  if (Object.keys(schema.properties ?? {}).length === 0) {
    return (
      <p className="kpl-quiet">
        {trans.__('The code has no parameter.yml, or it is empty.')}
      </p>
    );
  }
  if (!validator) {
    return <Skeleton rows={3} />;
  }
  return (
    <div className="kpl-Parameters">
      <FormComponent
        schema={schema}
        uiSchema={Private.emptied(schema)}
        formData={values as ReadonlyJSONObject}
        validator={validator}
        templates={TEMPLATES}
        tagName="div"
        liveValidate
        showErrorList={false}
        transformErrors={errors =>
          errors.map(error => Private.translated(trans, error))
        }
        onChange={({ formData }) => onChange((formData ?? {}) as Values)}
      />
    </div>
  );
}

/**
 * A namespace for private helpers.
 */
namespace Private {
  /**
   * Let no number be empty: the platform would take its default without a word.
   */
  export function strict(schema: RJSFSchema): RJSFSchema {
    const properties = Object.entries(schema.properties ?? {}) as [
      string,
      RJSFSchema
    ][];
    return {
      ...schema,
      properties: Object.fromEntries(
        properties.map(([name, part]) => [
          name,
          part.type === 'object' ? strict(part) : part
        ])
      ),
      required: properties
        .filter(([, { type }]) => type === 'integer' || type === 'number')
        .map(([name]) => name)
    };
  }

  /**
   * Let a text that was emptied be empty, for the same reason.
   */
  export function emptied(schema: RJSFSchema): UiSchema<ReadonlyJSONObject> {
    const properties = Object.entries(schema.properties ?? {}) as [
      string,
      RJSFSchema
    ][];
    return Object.fromEntries(
      properties.map(([name, part]) => [
        name,
        part.type === 'object'
          ? emptied(part)
          : part.type === 'string'
            ? { 'ui:emptyValue': '' }
            : {}
      ])
    );
  }

  /**
   * A refusal in the words of our other fields; those of the validator are in English.
   */
  export function translated(
    trans: TranslationBundle,
    error: RJSFValidationError
  ): RJSFValidationError {
    if (error.name === 'required') {
      return { ...error, message: trans.__('Write a number.') };
    }
    switch (error.name === 'type' && String(error.params?.type)) {
      case 'integer':
        return { ...error, message: trans.__('Write a whole number.') };
      case 'number':
        return { ...error, message: trans.__('Write a number.') };
      default:
        return error;
    }
  }
}
