import { render, screen } from '@testing-library/react';
import * as React from 'react';

import type { FolderForm } from '../../../api/local';
import { Within, makeContext } from '../../../components/__tests__/context';
import { FolderNotices } from '../notices';

function show(form: Partial<FolderForm>): void {
  render(
    <Within context={makeContext({}).context}>
      <FolderNotices form={{ warnings: [], ...form } as FolderForm} />
    </Within>
  );
}

describe('what to know of a code folder', () => {
  it('is what is left out of it, the first few by name', () => {
    show({ left_out: ['data/', 'a', 'b', 'c', 'd', 'e', 'f'] });
    screen.getByText(
      'Not sent, because .kplignore names it: data/, a, b, c, d and 2 more.'
    );
  });

  it('is nothing where all of it is sent', () => {
    show({ left_out: [] });
    expect(screen.queryByText(/Not sent/)).toBeNull();
  });

  it('is what its YAML files say that nobody understands', () => {
    show({ warnings: ['environment.yml line 3: unknown key'] });
    screen.getByText('environment.yml line 3: unknown key');
  });
});
