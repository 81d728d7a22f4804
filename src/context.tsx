import type { CommandRegistry } from '@lumino/commands';
import type { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import type { IStateDB } from '@jupyterlab/statedb';
import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import type { IPlatformClient, IWorkbench } from './tokens';

/**
 * What components need of the world around them.
 */
export interface IKplContext {
  /**
   * Let the user choose a folder of the home; null where it was cancelled.
   */
  browse: () => Promise<string | null>;

  /**
   * Let the user choose a file of the home and read it; null where it was cancelled.
   */
  chooseFile: () => Promise<File | null>;

  client: IPlatformClient;
  commands: CommandRegistry;
  rendermime: IRenderMimeRegistry;

  /**
   * Where forms remember their last values; null forgets them.
   */
  state: IStateDB | null;
  trans: TranslationBundle;
  workbench: IWorkbench;
}

/**
 * Hands the context down; every widget's root has one.
 */
export const KplContext = React.createContext<IKplContext | null>(null);

/**
 * The context of the widget that a component is in.
 */
export function useKpl(): IKplContext {
  const context = React.useContext(KplContext);
  if (!context) {
    throw new Error('A component of KPL Lab is used outside of its context.');
  }
  return context;
}
