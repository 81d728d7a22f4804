import type { Contents } from '@jupyterlab/services';
import { ServerConnection } from '@jupyterlab/services';
import type { TranslationBundle } from '@jupyterlab/translation';

import { PlatformError } from './request';

/**
 * What reading a file needs of the contents manager.
 */
export interface IHome {
  contents: Pick<Contents.IManager, 'getDownloadUrl'>;
  serverSettings: ServerConnection.ISettings;
}

/**
 * Read a file of the home as one that was chosen in the browser.
 *
 * @throws PlatformError when it is no file, or cannot be read.
 */
export async function readHomeFile(
  home: IHome,
  trans: TranslationBundle,
  model: Pick<Contents.IModel, 'name' | 'path' | 'type'>
): Promise<File> {
  if (model.type === 'directory') {
    throw new PlatformError({
      message: trans.__('That is a folder; choose a file in it.'),
      code: 'no_file',
      status: 422
    });
  }
  const url = await home.contents.getDownloadUrl(model.path);
  const response = await ServerConnection.makeRequest(
    url,
    {},
    home.serverSettings
  );
  if (!response.ok) {
    throw new PlatformError({
      message: trans.__(
        '“%1” cannot be read; it may have been moved or deleted.',
        model.path
      ),
      code: 'no_file',
      status: response.status
    });
  }
  const content = await response.blob();
  return new File([content], model.name, { type: content.type });
}
