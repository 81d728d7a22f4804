import { LabIcon, buildIcon } from '@jupyterlab/ui-components';

import algorithmSvg from '../style/icons/algorithm.svg';
import datasetSvg from '../style/icons/dataset.svg';
import imageSvg from '../style/icons/image.svg';
import kplSvg from '../style/icons/kpl.svg';
import modelSvg from '../style/icons/model.svg';
import mountSvg from '../style/icons/mount.svg';
import serviceSvg from '../style/icons/service.svg';
import stateBadSvg from '../style/icons/state-bad.svg';
import stateDraftSvg from '../style/icons/state-draft.svg';
import stateGoodSvg from '../style/icons/state-good.svg';
import stateLiveSvg from '../style/icons/state-live.svg';
import stateOffSvg from '../style/icons/state-off.svg';
import stateRunSvg from '../style/icons/state-run.svg';
import stateWaitSvg from '../style/icons/state-wait.svg';
import stateWarnSvg from '../style/icons/state-warn.svg';
import taskSvg from '../style/icons/task.svg';
import unmountSvg from '../style/icons/unmount.svg';
import type { ResourceKind } from './tokens';

export const algorithmIcon = new LabIcon({
  name: 'kpl-lab:algorithm',
  svgstr: algorithmSvg
});
export const datasetIcon = new LabIcon({
  name: 'kpl-lab:dataset',
  svgstr: datasetSvg
});
export const imageIcon = new LabIcon({
  name: 'kpl-lab:image',
  svgstr: imageSvg
});
export const kplIcon = new LabIcon({ name: 'kpl-lab:kpl', svgstr: kplSvg });
export const modelIcon = new LabIcon({
  name: 'kpl-lab:model',
  svgstr: modelSvg
});
export const mountIcon = new LabIcon({
  name: 'kpl-lab:mount',
  svgstr: mountSvg
});
export const serviceIcon = new LabIcon({
  name: 'kpl-lab:service',
  svgstr: serviceSvg
});
export const taskIcon = new LabIcon({ name: 'kpl-lab:task', svgstr: taskSvg });
export const unmountIcon = new LabIcon({
  name: 'kpl-lab:unmount',
  svgstr: unmountSvg
});

export const stateBadIcon = new LabIcon({
  name: 'kpl-lab:state-bad',
  svgstr: stateBadSvg
});
export const stateDraftIcon = new LabIcon({
  name: 'kpl-lab:state-draft',
  svgstr: stateDraftSvg
});
export const stateGoodIcon = new LabIcon({
  name: 'kpl-lab:state-good',
  svgstr: stateGoodSvg
});
export const stateLiveIcon = new LabIcon({
  name: 'kpl-lab:state-live',
  svgstr: stateLiveSvg
});
export const stateOffIcon = new LabIcon({
  name: 'kpl-lab:state-off',
  svgstr: stateOffSvg
});
export const stateRunIcon = new LabIcon({
  name: 'kpl-lab:state-run',
  svgstr: stateRunSvg
});
export const stateWaitIcon = new LabIcon({
  name: 'kpl-lab:state-wait',
  svgstr: stateWaitSvg
});
export const stateWarnIcon = new LabIcon({
  name: 'kpl-lab:state-warn',
  svgstr: stateWarnSvg
});

/**
 * The icon of each kind of resource.
 */
export const RESOURCE_ICONS: Record<ResourceKind, LabIcon> = {
  algorithms: algorithmIcon,
  builds: buildIcon,
  datasets: datasetIcon,
  images: imageIcon,
  models: modelIcon,
  services: serviceIcon,
  tasks: taskIcon
};
