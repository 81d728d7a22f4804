import { FormComponent } from '@jupyterlab/ui-components';
import type { ReadonlyJSONObject } from '@lumino/coreutils';
import type { RJSFSchema, ValidatorType } from '@rjsf/utils';
import * as React from 'react';

import type { FormDescription } from '../../api/types';
import { Skeleton } from '../../components/basic';
import { useKpl } from '../../context';

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
  const box = React.useRef<HTMLDivElement>(null);
  React.useEffect(() => Private.name(box.current));
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
    <div className="kpl-Parameters" ref={box}>
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

/**
 * A namespace for private helpers.
 */
namespace Private {
  /**
   * Tie the fields to the words above them, which JupyterLab's form only puts there.
   */
  export function name(box: HTMLElement | null): void {
    box
      ?.querySelectorAll<HTMLInputElement>('input, select, textarea')
      .forEach(field => {
        const words = field
          .closest('.jp-FormGroup-content')
          ?.querySelector('.jp-FormGroup-fieldLabel')?.textContent;
        if (!field.labels?.length) {
          field.setAttribute('aria-label', words || field.name);
        }
      });
  }
}
