import { fireEvent, render, screen } from '@testing-library/react';
import * as React from 'react';

import { PlatformError } from '../../request';
import { ErrorNotice, Facts, Meter, StateChip } from '../basic';
import { ErrorBoundary } from '../boundary';
import { Tabs } from '../tabs';
import { Within, makeContext } from './context';

const { context } = makeContext({});

const NAME = 'CPU';

describe('a state', () => {
  it('is told in words, not by colour alone', () => {
    render(
      <Within context={context}>
        <StateChip state="degraded" />
      </Within>
    );
    expect(screen.getByText('degraded')).toBeTruthy();
  });
});

describe('an error', () => {
  it('says what happened, which request it was, and can be tried again', () => {
    const retry = jest.fn();
    render(
      <Within context={context}>
        <ErrorNotice
          error={
            new PlatformError({
              message: 'The database is being upgraded.',
              code: 'unavailable',
              status: 503,
              requestId: 'abc'
            })
          }
          retry={retry}
        />
      </Within>
    );
    const alert = screen.getByRole('alert').textContent;
    expect(alert).toContain('The platform does not answer.');
    expect(alert).toContain('The database is being upgraded.');
    expect(alert).toContain('abc');
    fireEvent.click(screen.getByRole('button', { name: 'Try again' }));
    expect(retry).toHaveBeenCalledTimes(1);
  });
});

describe('facts', () => {
  it('leave out what is not known, and keep a zero', () => {
    render(
      <Facts
        items={[
          ['Exit code', 0],
          ['Attempt', null],
          ['Code', '']
        ]}
      />
    );
    expect(screen.getByText('Exit code').nextSibling?.textContent).toBe('0');
    expect(screen.queryByText('Attempt')).toBeNull();
    expect(screen.queryByText('Code')).toBeNull();
  });
});

describe('a meter', () => {
  it('is read out, and never fuller than full', () => {
    render(<Meter value={12} limit={8} label={NAME} />);
    const meter = screen.getByRole('meter', { name: NAME });
    expect(meter.getAttribute('aria-valuenow')).toBe('12');
    expect((meter.firstChild as HTMLElement).style.width).toBe('100%');
  });
});

describe('tabs', () => {
  function Example(): JSX.Element {
    const [tab, setTab] = React.useState('');
    const tabs = ['one', 'two', 'three'].map(id => ({
      id,
      label: id,
      content: () => <p>{`content ${id}`}</p>
    }));
    return <Tabs label={NAME} tabs={tabs} current={tab} onChange={setTab} />;
  }

  it('begin with the first and make only what is shown', () => {
    render(<Example />);
    expect(screen.getByRole('tabpanel', { name: 'one' }).textContent).toBe(
      'content one'
    );
    expect(screen.queryByText('content two')).toBeNull();
  });

  it('are moved through with the arrows, around the ends too', () => {
    render(<Example />);
    const list = screen.getByRole('tablist');
    fireEvent.keyDown(list, { key: 'ArrowLeft' });
    expect(screen.getByText('content three')).toBeTruthy();
    expect(document.activeElement?.textContent).toBe('three');
    fireEvent.keyDown(list, { key: 'ArrowRight' });
    expect(screen.getByText('content one')).toBeTruthy();
  });

  it('are one stop for the tab key', () => {
    render(<Example />);
    const stops = screen
      .getAllByRole('tab')
      .map(tab => tab.getAttribute('tabindex'));
    expect(stops).toEqual(['0', '-1', '-1']);
  });
});

describe('a broken view', () => {
  it('is told instead of taking the page with it', () => {
    const quiet = jest.spyOn(console, 'error').mockImplementation();
    function Broken(): JSX.Element {
      throw new Error('no such field');
    }
    render(
      <ErrorBoundary message="This cannot be shown." retry="Again">
        <Broken />
      </ErrorBoundary>
    );
    expect(screen.getByRole('alert').textContent).toContain('no such field');
    quiet.mockRestore();
  });
});
