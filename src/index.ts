import type { JupyterFrontEndPlugin } from '@jupyterlab/application';

import { clientPlugin } from './plugins/client';
import { commandsPlugin } from './plugins/commands';
import { fileBrowserPlugin } from './plugins/filebrowser';
import { idlePlugin } from './plugins/idle';
import { launcherPlugin } from './plugins/launcher';
import { notebookPlugin } from './plugins/notebook';
import { notificationsPlugin } from './plugins/notifications';
import { pagesPlugin } from './plugins/pages';
import { sidebarPlugin } from './plugins/sidebar';
import { statusPlugin } from './plugins/status';
import { usagePlugin } from './plugins/usage';
import { workbenchPlugin } from './plugins/workbench';

export * from './tokens';

/**
 * The plugins of KPL Lab.
 */
const plugins: JupyterFrontEndPlugin<unknown>[] = [
  clientPlugin,
  workbenchPlugin,
  commandsPlugin,
  sidebarPlugin,
  launcherPlugin,
  fileBrowserPlugin,
  notebookPlugin,
  notificationsPlugin,
  pagesPlugin,
  idlePlugin,
  statusPlugin,
  usagePlugin
];

export default plugins;
