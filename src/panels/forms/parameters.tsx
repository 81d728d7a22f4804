import type { TranslationBundle } from '@jupyterlab/translation';
import { FormComponent } from '@jupyterlab/ui-components';
import type { ReadonlyJSONObject } from '@lumino/coreutils';
import type {
  RJSFSchema,
  RJSFValidationError,
  ValidatorType
} from '@rjsf/utils';
import * as React from 'react';

import type { FormDescription } from '../../api/types';
import { Skeleton } from '../../components/basic';
import { useKpl } from '../../context';
import { TEMPLATES } from './fields';

type Validator = ValidatorType<ReadonlyJSONObject>;

/**
 * The parameters of `parameter.yml` as fields; comments of the file are the help texts.
 */
export function Parameters(props: {
  form: FormDescription;
  values: Record<string, unknown>;
  onChange: (values: Record<string, unknown>, isValid: boolean) => void;
}): JSX.Element {
  const { trans } = useKpl();
  const { form, values, onChange } = props;
  const schema = form.parameter_schema as RJSFSchema;
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
        formData={values as ReadonlyJSONObject}
        validator={validator}
        templates={TEMPLATES}
        tagName="div"
        liveValidate
        showErrorList={false}
        transformErrors={errors =>
          errors.map(error => Private.translated(trans, error))
        }
        onChange={({ formData, errors }) =>
          onChange(
            (formData ?? {}) as Record<string, unknown>,
            errors.length === 0
          )
        }
      />
    </div>
  );
}

/**
 * A namespace for private helpers.
 */
namespace Private {
  /**
   * A refusal in the words of our other fields; those of the validator are in English.
   */
  export function translated(
    trans: TranslationBundle,
    error: RJSFValidationError
  ): RJSFValidationError {
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
