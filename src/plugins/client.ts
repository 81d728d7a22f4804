import type {
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { PageConfig } from '@jupyterlab/coreutils';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';

import { PlatformClient } from '../client';
import { patient } from '../patience';
import { IPlatformClient } from '../tokens';

/**
 * Provides the platform client. Nothing is requested before somebody looks.
 */
export const clientPlugin: JupyterFrontEndPlugin<IPlatformClient> = {
  id: 'kpl-lab:client',
  description:
    'Provides requests, the event stream and shared lists; makes requests patient.',
  autoStart: true,
  provides: IPlatformClient,
  optional: [ITranslator],
  activate: (
    app: JupyterFrontEnd,
    translator: ITranslator | null
  ): IPlatformClient => {
    const settings = app.serviceManager.serverSettings as {
      fetch: typeof window.fetch;
    };
    settings.fetch = patient(settings.fetch);
    const trans = (translator ?? nullTranslator).load('kpl_lab');
    return new PlatformClient({
      serverSettings: app.serviceManager.serverSettings,
      serverName: PageConfig.getOption('hubServerName'),
      noServer: trans.__(
        'This JupyterLab was not started by the platform, so nothing can be mounted into it.'
      )
    });
  }
};
