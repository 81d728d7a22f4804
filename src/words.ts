import type { TranslationBundle } from '@jupyterlab/translation';

import type { Event as PlatformEvent } from './api/types';
import { said } from './said';
import { stateWords } from './states';
import type { ResourceKind } from './tokens';

/**
 * What a dataset is for.
 */
export function purposeWords(
  trans: TranslationBundle,
  purpose: string | null | undefined
): string {
  switch (purpose) {
    case 'classification':
      return trans.__('Image classification');
    case 'detection':
      return trans.__('Object detection');
    case 'segmentation':
      return trans.__('Segmentation');
    case 'text':
      return trans.__('Text classification');
    case 'other':
      return trans.__('Something else');
    default:
      return purpose ?? '';
  }
}

/**
 * How the records of a dataset were given.
 */
export function formatWords(
  trans: TranslationBundle,
  format: string | null | undefined
): string {
  switch (format) {
    case 'auto':
      return trans.__('Detect');
    case 'files':
      return trans.__('Plain files');
    case 'image-folder':
      return trans.__('Pictures, one folder per class');
    case 'kpl':
      return trans.__('KPL dataset');
    default:
      return format ?? '';
  }
}

/**
 * Who sees something.
 */
export function visibilityWords(
  trans: TranslationBundle,
  visibility: string
): string {
  switch (visibility) {
    case 'private':
      return trans.__('its owner and administrators');
    case 'workspace':
      return trans.__('members of the workspace');
    case 'public':
    case 'preset':
      return trans.__('everybody');
    default:
      return visibility;
  }
}

/**
 * What a resource is, before its name.
 */
export function kindWords(
  trans: TranslationBundle,
  kind: ResourceKind
): string {
  switch (kind) {
    case 'algorithms':
      return trans.__('Algorithm');
    case 'builds':
      return trans.__('Build');
    case 'datasets':
      return trans.__('Dataset');
    case 'images':
      return trans.__('Image');
    case 'models':
      return trans.__('Model');
    case 'services':
      return trans.__('Service');
    case 'tasks':
      return trans.__('Task');
  }
}

/**
 * What a build is made of.
 */
export function sourceOfBuildWords(
  trans: TranslationBundle,
  kind: string
): string {
  switch (kind) {
    case 'archive':
      return trans.__('of a saved image');
    case 'dockerfile':
      return trans.__('of a Dockerfile');
    case 'environment':
      return trans.__('of environment.yml');
    case 'requirements':
      return trans.__('of requirements');
    default:
      return kind;
  }
}

/**
 * Where an entry of the image catalog comes from.
 */
export function sourceWords(trans: TranslationBundle, source: string): string {
  switch (source) {
    case 'built':
      return trans.__('built here');
    case 'file':
      return trans.__("the administrator's catalog file");
    case 'loaded':
      return trans.__('loaded from a tar');
    case 'registered':
      return trans.__('registered');
    case 'saved':
      return trans.__('saved from a server');
    default:
      return source;
  }
}

/**
 * What goes into or comes out of a function.
 */
export function portWords(trans: TranslationBundle, kind: string): string {
  switch (kind) {
    case 'dataset':
      return trans.__('dataset');
    case 'files':
      return trans.__('files');
    case 'model':
      return trans.__('model');
    default:
      return kind;
  }
}

/**
 * An event of the platform in words: those of its sentences that never vary in the user's language,
 * all others as they came; empty for what is not worth a line.
 */
export function eventWords(
  trans: TranslationBundle,
  event: Pick<PlatformEvent, 'data' | 'kind' | 'message' | 'resource'>
): string {
  const { kind, message, data } = event;
  const { state, replicas, replicas_before: before } = data ?? {};
  if (message.startsWith('Scaled from ') && before !== undefined) {
    return trans._n(
      'Scaled from %2 to %1 replica.',
      'Scaled from %2 to %1 replicas.',
      Number(replicas),
      String(before)
    );
  }
  if (message === '' && event.resource === 'services' && state) {
    return eventWords(trans, {
      ...event,
      message: `The service is ${String(state)}.`
    });
  }
  switch (message) {
    case '':
      return kind === 'created'
        ? trans.__('It was created.')
        : typeof state === 'string'
          ? stateWords(trans, state)
          : '';
    case 'Saved as a draft.':
      return trans.__('Saved as a draft.');
    case 'Waiting for its turn.':
      return trans.__('Waiting for its turn.');
    case 'There is room; code and inputs are being laid out.':
      return trans.__('There is room; code and inputs are being laid out.');
    case 'The command is running.':
      return trans.__('The command is running.');
    case 'It was asked to end.':
      return trans.__('It was asked to end.');
    case 'The command has ended well and its outputs are kept.':
      return trans.__('The command has ended well and its outputs are kept.');
    case 'It was stopped.':
      return trans.__('It was stopped.');
    case 'The service is deploying.':
      return trans.__('The service is deploying.');
    case 'The service is running.':
      return trans.__('The service is running.');
    case 'The service is being started again.':
      return trans.__('The service is being started again.');
    case 'The service is degraded.':
      return trans.__('The service is degraded.');
    case 'The service is stopping.':
      return trans.__('The service is stopping.');
    case 'The service is stopped.':
      return trans.__('The service is stopped.');
    default:
      return said(trans, message);
  }
}
