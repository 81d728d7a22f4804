import type { TranslationBundle } from '@jupyterlab/translation';
import type { LabIcon } from '@jupyterlab/ui-components';

import {
  algorithmIcon,
  datasetIcon,
  imageIcon,
  modelIcon,
  serviceIcon,
  taskIcon
} from '../../icons';
import type { FormKind, IFormStart, ResourceKind } from '../../tokens';
import { AlgorithmForm } from './algorithm';
import { BuildForm } from './build';
import { DatasetForm } from './dataset';
import { EnvironmentForm } from './environment';
import { ImageForm } from './image';
import { ModelForm } from './model';
import { ServiceForm } from './service';
import { TaskForm } from './task';

/**
 * What every form is given.
 */
export interface IFormProps {
  start: IFormStart;

  /**
   * What was made, to be shown in the form's place.
   */
  onDone: (kind: ResourceKind, id: number) => void;
}

/**
 * The forms of the main area.
 */
export const FORMS: Record<
  FormKind,
  {
    icon: LabIcon;
    title: (trans: TranslationBundle) => string;
    component: (props: IFormProps) => JSX.Element;
  }
> = {
  algorithm: {
    icon: algorithmIcon,
    title: trans => trans.__('Publish algorithm'),
    component: AlgorithmForm
  },
  build: {
    icon: imageIcon,
    title: trans => trans.__('Build image'),
    component: BuildForm
  },
  dataset: {
    icon: datasetIcon,
    title: trans => trans.__('New dataset'),
    component: DatasetForm
  },
  environment: {
    icon: imageIcon,
    title: trans => trans.__('Save environment'),
    component: EnvironmentForm
  },
  image: {
    icon: imageIcon,
    title: trans => trans.__('Register image'),
    component: ImageForm
  },
  model: {
    icon: modelIcon,
    title: trans => trans.__('Save model'),
    component: ModelForm
  },
  service: {
    icon: serviceIcon,
    title: trans => trans.__('Deploy service'),
    component: ServiceForm
  },
  task: {
    icon: taskIcon,
    title: trans => trans.__('New task'),
    component: TaskForm
  }
};
