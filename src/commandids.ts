/**
 * The commands of KPL Lab.
 */
export namespace CommandIDs {
  export const buildImage = 'kpl-lab:build-image';
  export const copyLink = 'kpl-lab:copy-link';
  export const deleteResource = 'kpl-lab:delete-resource';
  export const deployService = 'kpl-lab:deploy-service';
  export const lookAtImage = 'kpl-lab:look-at-image';
  export const insertCode = 'kpl-lab:insert-code';
  export const insertDatasetCode = 'kpl-lab:insert-dataset-code';
  export const mountDataset = 'kpl-lab:mount-dataset';
  export const newDataset = 'kpl-lab:new-dataset';
  export const newTask = 'kpl-lab:new-task';
  export const openDetail = 'kpl-lab:open-detail';
  export const openForm = 'kpl-lab:open-form';
  export const openRoute = 'kpl-lab:open-route';
  export const openExample = 'kpl-lab:open-example';
  export const publishAlgorithm = 'kpl-lab:publish-algorithm';
  export const publishFolder = 'kpl-lab:publish-folder';
  export const registerImage = 'kpl-lab:register-image';
  export const resubmitTask = 'kpl-lab:resubmit-task';
  export const saveAsDataset = 'kpl-lab:save-as-dataset';
  export const saveAsModel = 'kpl-lab:save-as-model';
  export const saveEnvironment = 'kpl-lab:save-environment';
  export const saveModel = 'kpl-lab:save-model';
  export const showBuilds = 'kpl-lab:show-builds';
  export const showHome = 'kpl-lab:show-home';
  export const showHistory = 'kpl-lab:show-history';
  export const showPanel = 'kpl-lab:show-panel';
  export const startService = 'kpl-lab:start-service';
  export const stopService = 'kpl-lab:stop-service';
  export const stopTask = 'kpl-lab:stop-task';
  export const submitFolder = 'kpl-lab:submit-folder';
  export const unmountDataset = 'kpl-lab:unmount-dataset';
}
