import { FormComponent } from '@jupyterlab/ui-components';
import type { ReadonlyJSONObject } from '@lumino/coreutils';
import type { RJSFSchema } from '@rjsf/utils';
import { customizeValidator } from '@rjsf/validator-ajv8';
import * as React from 'react';

import type { FormDescription } from '../../api/types';
import { useKpl } from '../../context';

const validator = customizeValidator<ReadonlyJSONObject>();

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
  if (Object.keys(schema.properties ?? {}).length === 0) {
    return (
      <p className="kpl-quiet">
        {trans.__('The code has no parameter.yml, or it is empty.')}
      </p>
    );
  }
  return (
    <div className="kpl-Parameters">
      <FormComponent
        schema={schema}
        formData={values as ReadonlyJSONObject}
        validator={validator}
        tagName="div"
        liveValidate
        showErrorList={false}
        compact
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
