import type { TranslationBundle } from '@jupyterlab/translation';
import {
  addIcon,
  codeIcon,
  deleteIcon,
  refreshIcon,
  runIcon,
  stopIcon
} from '@jupyterlab/ui-components';
import type { LabIcon } from '@jupyterlab/ui-components';

import type {
  AlgorithmView,
  BuildView,
  DatasetView,
  ImageView,
  MountView,
  ModelView,
  ServiceView,
  TaskView
} from '../../api/types';
import { CommandIDs } from '../../commandids';
import { bytes, count } from '../../format';
import {
  RESOURCE_ICONS,
  mountIcon,
  serviceIcon,
  unmountIcon
} from '../../icons';
import type { IItem } from '../../models/list';
import { said } from '../../said';
import { imageFacts, imageLetter } from '../images/facts';
import { isFinal, reasonWords, stateWords, taskFacts } from '../../states';
import type { IPlatformClient, ResourceKind } from '../../tokens';

/**
 * The kinds of resources that have a section.
 */
export type SectionKind = Exclude<ResourceKind, 'builds'>;

/**
 * A button that a row offers.
 */
export interface IRowAction {
  command: string;
  label: string;
  icon: LabIcon;
}

/**
 * What a row says and offers.
 */
export interface IRow {
  state: string;
  icon: LabIcon | null;

  /**
   * A letter or sign in place of the icon.
   */
  letter?: string;
  facts: string;
  title: string;
  marker?: string;
  actions: IRowAction[];
}

/**
 * What a section says when it has no rows, and how to make the first.
 */
export interface ISectionTexts {
  title: string;
  empty: string;
  add: string;
  command: string;
}

/**
 * The words of a section.
 */
export function sectionTexts(
  kind: SectionKind,
  trans: TranslationBundle
): ISectionTexts {
  switch (kind) {
    case 'datasets':
      return {
        title: trans.__('Datasets'),
        empty: trans.__(
          'Records to learn from, versioned and mounted on a click.'
        ),
        add: trans.__('New dataset…'),
        command: CommandIDs.newDataset
      };
    case 'tasks':
      return {
        title: trans.__('Tasks'),
        empty: trans.__(
          'Runs of your code, beside the notebook, with curves and log.'
        ),
        add: trans.__('New task…'),
        command: CommandIDs.newTask
      };
    case 'algorithms':
      return {
        title: trans.__('Algorithms'),
        empty: trans.__(
          'Code folders that were checked, built and given a version.'
        ),
        add: trans.__('Publish algorithm…'),
        command: CommandIDs.publishAlgorithm
      };
    case 'models':
      return {
        title: trans.__('Models'),
        empty: trans.__('What tasks have learned, with where it came from.'),
        add: trans.__('Save a folder as model…'),
        command: CommandIDs.saveModel
      };
    case 'services':
      return {
        title: trans.__('Services'),
        empty: trans.__('Models that answer calls at a stable address.'),
        add: trans.__('Deploy service…'),
        command: CommandIDs.deployService
      };
    case 'images':
      return {
        title: trans.__('Images'),
        empty: trans.__('The environments that servers and tasks start in.'),
        add: trans.__('Register image…'),
        command: CommandIDs.registerImage
      };
  }
}

/**
 * What a row says and offers.
 */
export function describeRow(
  kind: ResourceKind,
  item: IItem,
  client: IPlatformClient,
  trans: TranslationBundle
): IRow {
  switch (kind) {
    case 'datasets': {
      const dataset = item as DatasetView;
      return Private.dataset(dataset, client.place.mountOf(dataset.id), trans);
    }
    case 'tasks':
      return Private.task(item as TaskView, trans);
    case 'algorithms':
      return Private.algorithm(item as AlgorithmView, trans);
    case 'models':
      return Private.model(item as ModelView, trans);
    case 'services':
      return Private.service(item as ServiceView, trans);
    case 'builds':
      return Private.build(item as BuildView, trans);
    case 'images':
      return Private.image(item as ImageView, trans);
  }
}

/**
 * A namespace for private helpers.
 */
namespace Private {
  interface IAsset {
    name: string;
    state: string;
    version: number | null;
    description: string;
    reason: string | null;
    message: string | null;
  }

  /**
   * What rows of datasets, models and algorithms share.
   */
  function asset(
    kind: ResourceKind,
    item: IAsset,
    size: string,
    trans: TranslationBundle
  ): IRow {
    const version = item.version === null ? '' : `v${item.version}`;
    const facts =
      item.state === 'ready'
        ? [version, size].filter(Boolean).join(' · ')
        : item.state === 'failed'
          ? reasonWords(trans, item.reason)
          : stateWords(trans, item.state);
    return {
      state: item.state,
      icon: item.state === 'ready' ? RESOURCE_ICONS[kind] : null,
      facts,
      title: [item.name, said(trans, item.message) || item.description]
        .filter(Boolean)
        .join('\n'),
      actions: []
    };
  }

  export function dataset(
    item: DatasetView,
    mount: MountView | undefined,
    trans: TranslationBundle
  ): IRow {
    const row = asset('datasets', item, count(item.records), trans);
    if (item.state === 'preparing' && item.progress !== null) {
      row.facts = trans.__('preparing %1 %', Math.floor(item.progress * 100));
    }
    if (mount) {
      row.marker = trans.__('Mounted at %1', `~/${mount.path}`);
    }
    if (item.state === 'ready') {
      row.actions = [
        {
          command: CommandIDs.insertDatasetCode,
          label: trans.__('Insert code into the current cell'),
          icon: codeIcon
        },
        mount
          ? {
              command: CommandIDs.unmountDataset,
              label: trans.__('Unmount'),
              icon: unmountIcon
            }
          : {
              command: CommandIDs.mountDataset,
              label: trans.__('Mount'),
              icon: mountIcon
            }
      ];
    }
    return row;
  }

  export function task(item: TaskView, trans: TranslationBundle): IRow {
    return {
      state: item.state,
      icon: null,
      facts: taskFacts(trans, item),
      title: [item.name, said(trans, item.message) || item.description]
        .filter(Boolean)
        .join('\n'),
      actions: [
        isFinal(item.state) || item.state === 'draft'
          ? remove(trans)
          : {
              command: CommandIDs.stopTask,
              label: trans.__('Stop'),
              icon: stopIcon
            }
      ]
    };
  }

  export function algorithm(
    item: AlgorithmView,
    trans: TranslationBundle
  ): IRow {
    const row = asset('algorithms', item, item.functions.join(', '), trans);
    if (item.state === 'ready') {
      row.actions = [
        {
          command: CommandIDs.newTask,
          label: trans.__('New task with this algorithm…'),
          icon: runIcon
        }
      ];
    }
    return row;
  }

  export function model(item: ModelView, trans: TranslationBundle): IRow {
    const row = asset('models', item, bytes(item.bytes), trans);
    if (item.state === 'ready') {
      row.actions = [
        {
          command: CommandIDs.deployService,
          label: trans.__('Deploy as service…'),
          icon: serviceIcon
        }
      ];
    }
    return row;
  }

  export function service(item: ServiceView, trans: TranslationBundle): IRow {
    const isUp = item.state === 'running' || item.state === 'degraded';
    return {
      state: item.state,
      icon: null,
      facts: isUp
        ? trans.__('%1 of %2 ready', item.ready, item.replicas)
        : item.state === 'failed'
          ? reasonWords(trans, item.reason)
          : stateWords(trans, item.state),
      title: [item.name, said(trans, item.message) || item.url]
        .filter(Boolean)
        .join('\n'),
      actions: [
        item.state === 'stopped' || item.state === 'failed'
          ? {
              command: CommandIDs.startService,
              label: trans.__('Start'),
              icon: runIcon
            }
          : {
              command: CommandIDs.stopService,
              label: trans.__('Stop'),
              icon: stopIcon
            }
      ]
    };
  }

  export function build(item: BuildView, trans: TranslationBundle): IRow {
    return {
      state: item.state,
      icon: null,
      facts:
        item.state === 'running'
          ? trans.__('being built')
          : stateWords(trans, item.state),
      title: [item.name, said(trans, item.message)].filter(Boolean).join('\n'),
      actions: []
    };
  }

  export function image(item: ImageView, trans: TranslationBundle): IRow {
    const isReady = item.state === 'ready';
    return {
      state: item.state,
      icon: null,
      ...(isReady && { letter: imageLetter(item) }),
      facts: isReady
        ? imageFacts(trans, item)
        : item.state === 'failed'
          ? reasonWords(trans, item.reason)
          : stateWords(trans, item.state),
      title: [item.title, said(trans, item.message) || item.description]
        .filter(Boolean)
        .join('\n'),
      actions:
        item.state === 'failed'
          ? [
              {
                command: CommandIDs.lookAtImage,
                label: trans.__('Look again'),
                icon: refreshIcon
              }
            ]
          : []
    };
  }

  function remove(trans: TranslationBundle): IRowAction {
    return {
      command: CommandIDs.deleteResource,
      label: trans.__('Delete…'),
      icon: deleteIcon
    };
  }
}

/**
 * The icon of the button that makes something new.
 */
export const ADD_ICON = addIcon;
