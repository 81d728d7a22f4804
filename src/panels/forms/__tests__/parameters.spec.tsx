import { fireEvent, render, screen } from '@testing-library/react';
import * as React from 'react';

import type { FormDescription } from '../../../api/types';
import { Within, makeContext } from '../../../components/__tests__/context';
import { Parameters } from '../parameters';

function field(title: string, type: string, rest: object): object {
  return { [title]: { title, type, ...rest } };
}

const SCHEMA = {
  type: 'object',
  properties: {
    ...field('epochs', 'integer', {
      default: 30,
      description: 'How often all pictures are looked at.'
    }),
    ...field('shuffle', 'boolean', {
      default: true,
      description: 'Whether their order changes.'
    }),
    ...field('seed', 'integer', { default: 7 }),
    ...field('note', 'string', { default: 'mine' }),
    ...field('network', 'object', {
      properties: field('hidden', 'array', {
        items: { type: 'integer' },
        default: [64, 32],
        description: 'Neurons of each hidden layer.'
      })
    })
  }
};

async function show(): Promise<Record<'onChange' | 'onValid', jest.Mock>> {
  const onChange = jest.fn();
  const onValid = jest.fn();
  function Example(): JSX.Element {
    const [values, setValues] = React.useState<Record<string, unknown>>({
      epochs: 30,
      shuffle: true,
      seed: 7,
      note: 'mine',
      network: { hidden: [64, 32] }
    });
    return (
      <Within context={makeContext({}).context}>
        <Parameters
          form={{ parameter_schema: SCHEMA } as unknown as FormDescription}
          values={values}
          onChange={now => {
            onChange(now);
            setValues(now);
          }}
          onValid={onValid}
        />
      </Within>
    );
  }
  render(<Example />);
  // The validator is loaded when it is needed.
  await screen.findByLabelText('epochs', {}, { timeout: 20_000 });
  return { onChange, onValid };
}

function note(field: HTMLElement): string {
  const ids = field.getAttribute('aria-describedby')?.split(' ') ?? [];
  return ids.map(id => document.getElementById(id)?.textContent ?? '').join('');
}

describe('the parameters of code', () => {
  jest.setTimeout(30_000);

  it('look like the other fields: the label before the field, the help after it', async () => {
    await show();
    for (const name of ['epochs', 'seed']) {
      const field = screen.getByLabelText(name);
      const box = field.closest('.kpl-Field');
      expect(box?.firstElementChild?.tagName).toBe('LABEL');
      expect(box?.children[1]).toBe(field);
    }
    const help = screen.getByText('How often all pictures are looked at.');
    expect(help.parentElement?.lastElementChild).toBe(help);
  });

  it('say their help to those who do not see it', async () => {
    await show();
    expect(note(screen.getByLabelText('epochs'))).toBe(
      'How often all pictures are looked at.'
    );
    expect(note(screen.getByLabelText('shuffle'))).toBe(
      'Whether their order changes.'
    );
    expect(note(screen.getByRole('group', { name: 'hidden' }))).toBe(
      'Neurons of each hidden layer.'
    );
  });

  it('call each value of a list by the name of the list', async () => {
    await show();
    const values = [1, 2].map(number =>
      screen.getByLabelText<HTMLInputElement>(`hidden, value ${number}`)
    );
    expect(values.map(field => field.value)).toEqual(['64', '32']);
  });

  it('change, also those of a list', async () => {
    const { onChange } = await show();
    fireEvent.change(screen.getByLabelText('hidden, value 2'), {
      target: { value: '16' }
    });
    fireEvent.click(screen.getAllByRole('button', { name: 'Remove' })[0]);
    const [values] = onChange.mock.lastCall as [typeof SCHEMA];
    expect(values).toMatchObject({ network: { hidden: [16] } });
    fireEvent.click(screen.getByRole('button', { name: 'Add a value' }));
    expect(screen.getByLabelText('hidden, value 2')).toBeTruthy();
  });

  it('say at the field what is wrong with it', async () => {
    const { onValid } = await show();
    const field = screen.getByLabelText('epochs');
    fireEvent.change(field, { target: { value: '1.5' } });
    expect(onValid).toHaveBeenLastCalledWith(false);
    expect(note(field)).toBe('Write a whole number.');
    expect(screen.getByRole('alert').id).toBe('root_epochs__description');
    fireEvent.change(field, { target: { value: '2' } });
    expect(onValid).toHaveBeenLastCalledWith(true);
  });

  it('say it of a number that was emptied: its default would be taken without a word', async () => {
    const { onValid } = await show();
    const field = screen.getByLabelText('seed');
    fireEvent.change(field, { target: { value: '' } });
    expect(onValid).toHaveBeenLastCalledWith(false);
    expect(note(field)).toBe('Write a number.');
  });

  it('let a text be empty', async () => {
    const { onChange, onValid } = await show();
    fireEvent.change(screen.getByLabelText('note'), { target: { value: '' } });
    expect(onChange).toHaveBeenLastCalledWith(
      expect.objectContaining({ note: '' })
    );
    expect(onValid).not.toHaveBeenCalledWith(false);
  });
});
