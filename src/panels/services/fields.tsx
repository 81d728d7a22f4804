import { fileUploadIcon, folderIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import { Button } from '../../components/basic';
import { useKpl } from '../../context';
import { bytes } from '../../format';
import { useAction } from '../../hooks';
import { said } from '../../said';
import type { ICall, ICallInput } from './interface';
import { isFile } from './interface';

/**
 * One input of a call: a file or a text, with its name above and what it is below.
 */
export function InputField(props: {
  call: ICall;
  input: ICallInput;
  value: string | File | undefined;
  onChange: (value: string | File | undefined) => void;
}): JSX.Element {
  const { call, input, value, onChange } = props;
  const id = React.useId();
  const note = `${id}-note`;
  const text = {
    id,
    className: 'jp-mod-styled',
    required: input.required,
    value: typeof value === 'string' ? value : '',
    'aria-describedby': note,
    onChange: (
      event: React.ChangeEvent<HTMLInputElement | HTMLTextAreaElement>
    ) => onChange(event.target.value)
  };
  return (
    <div className="kpl-Field">
      <label htmlFor={id}>
        {input.name}
        {input.required && <span className="kpl-quiet">{' *'}</span>}
      </label>
      {isFile(call, input) ? (
        <FileChoice
          id={id}
          note={note}
          isRequired={input.required}
          value={value instanceof File ? value : null}
          onChange={onChange}
        />
      ) : call.format === 'text' ? (
        <textarea rows={4} {...text} />
      ) : (
        <input type="text" {...text} />
      )}
      <span id={note} className="kpl-quiet">
        {input.description}
      </span>
    </div>
  );
}

/**
 * A file of the machine that the browser runs on, or one of the home.
 */
function FileChoice(props: {
  id: string;
  note: string;
  isRequired: boolean;
  value: File | null;
  onChange: (file: File) => void;
}): JSX.Element {
  const { chooseFile, trans } = useKpl();
  const { id, note, isRequired, value, onChange } = props;
  const action = useAction();
  const own = React.useRef<HTMLInputElement>(null);
  const choose = async (): Promise<void> => {
    const file = await chooseFile();
    if (file) {
      onChange(file);
    }
  };
  return (
    <>
      <div className="kpl-Inline kpl-FileChoice">
        {/* The browser's own words would name what was chosen in it alone. */}
        <input
          ref={own}
          id={id}
          type="file"
          className="kpl-spoken"
          tabIndex={-1}
          required={isRequired && !value}
          aria-describedby={note}
          onChange={event => {
            const [file] = event.target.files ?? [];
            if (file) {
              onChange(file);
            }
          }}
        />
        <Button icon={fileUploadIcon} onClick={() => own.current?.click()}>
          {trans.__('Upload…')}
        </Button>
        <Button
          icon={folderIcon}
          disabled={action.isBusy}
          onClick={() => action.run(choose)}
        >
          {trans.__('Choose from my home…')}
        </Button>
      </div>
      {value && (
        <span className="kpl-FileChoice-name" role="status">
          {`${value.name} · ${bytes(value.size)}`}
        </span>
      )}
      {action.error && (
        <span className="kpl-Field-error" role="alert">
          {said(trans, action.error.message)}
        </span>
      )}
    </>
  );
}
