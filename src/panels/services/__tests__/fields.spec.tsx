import { act, fireEvent, render, screen } from '@testing-library/react';
import * as React from 'react';

import { Within, makeContext } from '../../../components/__tests__/context';
import type { IKplContext } from '../../../context';
import { PlatformError } from '../../../request';
import { InputField } from '../fields';
import type { CallValues } from '../interface';
import { readInterface } from '../interface';

const [CALL] = readInterface([
  {
    path: '/predict',
    method: 'POST',
    format: 'form',
    inputs: [{ name: 'file', type: 'File', required: true }]
  }
]);

function show(chooseFile: IKplContext['chooseFile']): () => CallValues[string] {
  let chosen: CallValues[string];
  function Example(): JSX.Element {
    const [value, setValue] = React.useState<CallValues[string]>(undefined);
    chosen = value;
    return (
      <Within context={{ ...makeContext({}).context, chooseFile }}>
        <InputField
          call={CALL}
          input={CALL.inputs[0]}
          value={value}
          onChange={setValue}
        />
      </Within>
    );
  }
  render(<Example />);
  return () => chosen;
}

const picture = new File(['pixels'], '0007.png', { type: 'image/png' });

function fromHome(): HTMLElement {
  return screen.getByRole('button', { name: 'Choose from my home…' });
}

describe('a file that a service wants', () => {
  it('is chosen from the home', async () => {
    const chosen = show(async () => picture);
    fireEvent.click(fromHome());
    expect((await screen.findByText(/0007\.png/)).textContent).toBe(
      '0007.png · 6 B'
    );
    expect(chosen()).toBe(picture);
  });

  it('is uploaded from the machine of the browser', () => {
    const chosen = show(async () => null);
    const field = screen.getByLabelText<HTMLInputElement>(/^file/);
    expect(field.required).toBe(true);
    fireEvent.change(field, { target: { files: [picture] } });
    expect(chosen()).toBe(picture);
    expect(field.required).toBe(false);
  });

  it('stays what it was when the choice is cancelled', async () => {
    const answers = [picture, null];
    const chosen = show(async () => answers.shift() ?? null);
    fireEvent.click(fromHome());
    await screen.findByText(/0007\.png/);
    await act(async () => void fireEvent.click(fromHome()));
    expect(answers).toEqual([]);
    expect(chosen()).toBe(picture);
  });

  it('that cannot be read is told at the field', async () => {
    const message = '“7.png” cannot be read.';
    show(async () => {
      throw new PlatformError({ message, code: 'no_file', status: 404 });
    });
    fireEvent.click(fromHome());
    expect((await screen.findByRole('alert')).textContent).toBe(message);
  });
});
