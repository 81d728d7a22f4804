import type { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import { ServerConnection } from '@jupyterlab/services';
import { nullTranslator } from '@jupyterlab/translation';
import { CommandRegistry } from '@lumino/commands';
import * as React from 'react';

import { PlatformClient } from '../../client';
import type { IKplContext } from '../../context';
import { KplContext } from '../../context';

/**
 * What a test sees of a context: its calls, and the requests that it answers.
 */
export interface ITestContext {
  context: IKplContext;
  executed: [string, unknown][];
  opened: unknown[][];
  requests: string[];
}

/**
 * A context whose requests a table of paths answers.
 *
 * @param answers Path below `kpl-lab/`, without its query, to the JSON answer.
 */
export function makeContext(answers: Record<string, unknown>): ITestContext {
  const executed: [string, unknown][] = [];
  const opened: unknown[][] = [];
  const requests: string[] = [];
  const commands = new CommandRegistry();
  const execute = async (id: string, args?: unknown): Promise<void> => {
    executed.push([id, args]);
  };
  commands.execute = execute as CommandRegistry['execute'];
  const client = new PlatformClient({
    serverName: '',
    noServer: 'no server',
    serverSettings: ServerConnection.makeSettings({
      baseUrl: 'http://here/',
      fetch: async (info: RequestInfo | URL) => {
        const { method, url } = info as Request;
        const path = url.replace('http://here/kpl-lab/', '').split('?')[0];
        requests.push(`${method} ${path}`);
        if (path === 'api/events') {
          return new Promise<Response>(() => undefined);
        }
        return path in answers
          ? new Response(JSON.stringify(answers[path]))
          : new Response('{"code":"not_found","message":"No such path."}', {
              status: 404
            });
      }
    })
  });
  const context: IKplContext = {
    browse: async () => 'chosen/folder',
    chooseFile: async () => null,
    client,
    commands,
    rendermime: {} as IRenderMimeRegistry,
    state: null,
    trans: nullTranslator.load('kpl_lab'),
    workbench: {
      openDetail: (...args) => void opened.push(args),
      openForm: (...args) => void opened.push(args)
    }
  };
  return { context, executed, opened, requests };
}

/**
 * Something inside of a context.
 */
export function Within(props: {
  context: IKplContext;
  children: React.ReactNode;
}): JSX.Element {
  return (
    <KplContext.Provider value={props.context}>
      {props.children}
    </KplContext.Provider>
  );
}
