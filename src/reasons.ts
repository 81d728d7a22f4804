import type { TranslationBundle } from '@jupyterlab/translation';

/**
 * Why something ended badly, as two or three words for a row; the whole sentence is
 * on its page.
 */
export function reasonWords(
  trans: TranslationBundle,
  reason: string | null | undefined
): string {
  switch (reason) {
    case null:
    case undefined:
    case '':
      return trans.__('failed');
    case 'aborted':
    case 'bus_error':
    case 'division_trap':
    case 'native_exception':
    case 'segmentation_fault':
      return trans.__('crashed');
    case 'address_elsewhere':
    case 'loopback_only':
      return trans.__('wrong address');
    case 'address_in_use':
      return trans.__('port taken');
    case 'apt_no_package':
    case 'pip_no_match':
      return trans.__('package not found');
    case 'apt_not_root':
    case 'entry_not_executable':
    case 'externally_managed':
    case 'not_executable':
    case 'permission_denied':
      return trans.__('permission denied');
    case 'bad_arguments':
      return trans.__('bad arguments');
    case 'bad_interpreter':
    case 'shell_syntax':
    case 'windows_lines':
      return trans.__('error in a script');
    case 'bad_parameter':
      return trans.__('bad parameter');
    case 'build_failed':
    case 'image_build_failed':
    case 'build_line':
    case 'dockerfile_run':
      return trans.__('build failed');
    case 'certificate':
    case 'pip_certificate':
    case 'node_certificate':
    case 'registry_certificate':
      return trans.__('certificate not trusted');
    case 'checkpoint_mismatch':
    case 'cuda_checkpoint':
    case 'shape_mismatch':
    case 'weights_only':
      return trans.__('model does not fit');
    case 'child_killed':
    case 'killed':
      return trans.__('killed');
    case 'circular_import':
      return trans.__('circular import');
    case 'command_not_found':
    case 'entry_missing':
      return trans.__('command not found');
    case 'compile_failed':
    case 'header_missing':
    case 'pip_build_failed':
      return trans.__('compiling failed');
    case 'compiler_missing':
      return trans.__('no compiler');
    case 'connection_lost':
      return trans.__('connection lost');
    case 'connection_refused':
      return trans.__('connection refused');
    case 'connection_timeout':
      return trans.__('no answer in time');
    case 'cuda_assert':
    case 'cudnn_failed':
      return trans.__('error on the GPU');
    case 'cuda_busy':
      return trans.__('GPU in use');
    case 'cuda_driver_broken':
      return trans.__('GPU driver does not fit');
    case 'cuda_driver_old':
      return trans.__('GPU driver too old');
    case 'cuda_not_built':
    case 'cuda_wrong_gpu':
      return trans.__('GPU not supported');
    case 'cuda_out_of_memory':
      return trans.__('out of GPU memory');
    case 'cuda_too_many':
      return trans.__('more GPUs than given');
    case 'cuda_unavailable':
    case 'gpu_runtime_missing':
      return trans.__('no usable GPU');
    case 'database_locked':
      return trans.__('database locked');
    case 'dataset_broken':
      return trans.__('dataset broken');
    case 'devices_mixed':
      return trans.__('data on two devices');
    case 'disk_limit':
    case 'disk_full':
    case 'no_space':
    case 'quota_exceeded':
      return trans.__('disk full');
    case 'above_maximum':
      return trans.__('more than the image allows');
    case 'docker_refused':
      return trans.__('refused by Docker');
    case 'image_archive':
      return trans.__('not an image');
    case 'image_too_large':
      return trans.__('image too large');
    case 'context_broken':
      return trans.__('build folder unusable');
    case 'image_not_ready':
      return trans.__('image not ready');
    case 'image_offline':
      return trans.__('image is offline');
    case 'image_unusable':
      return trans.__('cannot be used');
    case 'never_started':
      return trans.__('never started');
    case 'docker_unreachable':
    case 'docker_away':
      return trans.__('Docker does not answer');
    case 'dockerfile_buildkit':
    case 'dockerfile_copy':
    case 'dockerfile_syntax':
    case 'secret_missing':
      return trans.__('error in the Dockerfile');
    case 'dtype_mismatch':
      return trans.__('wrong type of numbers');
    case 'environment_missing':
      return trans.__('environment missing');
    case 'exec_format':
    case 'image_runs_as_root':
    case 'image_user':
    case 'no_jupyter':
    case 'onbuild_refused':
    case 'wrong_architecture':
      return trans.__('image does not fit');
    case 'exit_code':
      return trans.__('ended with an error');
    case 'file_exists':
    case 'folder_missing':
    case 'is_folder':
    case 'not_a_folder':
      return trans.__('wrong path');
    case 'file_not_found':
    case 'script_not_found':
      return trans.__('file not found');
    case 'git_failed':
    case 'git_missing':
      return trans.__('Git failed');
    case 'http_refused':
      return trans.__('refused by a server');
    case 'illegal_instruction':
      return trans.__('processor too old');
    case 'image_other_name':
    case 'image_never_pulled':
    case 'image_missing':
    case 'image_unavailable':
    case 'no_image':
    case 'pulling_off':
    case 'unknown_image':
    case 'image_reference':
      return trans.__('image not found');
    case 'import_error':
    case 'module_not_found':
    case 'module_to_run':
      return trans.__('module missing');
    case 'input_missing':
      return trans.__('input missing');
    case 'json_invalid':
    case 'model_unreadable':
    case 'text_encoding':
    case 'yaml_invalid':
      return trans.__('bad file format');
    case 'kernel_missing':
      return trans.__('no such kernel');
    case 'label_out_of_range':
      return trans.__('label out of range');
    case 'library_missing':
      return trans.__('library missing');
    case 'gone':
    case 'lost':
      return trans.__('process vanished');
    case 'main_guard':
      return trans.__('script starts itself');
    case 'memory_error':
    case 'out_of_memory':
      return trans.__('out of memory');
    case 'model_hub_unreachable':
    case 'network_unreachable':
      return trans.__('no network');
    case 'mount_failed':
      return trans.__('could not be mounted');
    case 'name_resolution':
      return trans.__('unknown host');
    case 'nccl_failed':
      return trans.__('GPU processes lost');
    case 'never_fits':
      return trans.__('more than the machine has');
    case 'pool_never_fits':
      return trans.__('more than the pool has');
    case 'pool_gone':
      return trans.__('its pool is gone');
    case 'never_listened':
      return trans.__('never listened');
    case 'no_display':
      return trans.__('no screen');
    case 'no_keyboard':
      return trans.__('waits for a keyboard');
    case 'numpy_mismatch':
    case 'protobuf_mismatch':
    case 'system_too_old':
      return trans.__('versions do not fit');
    case 'pip_bad_wheel':
    case 'pip_hash':
    case 'pip_platform':
    case 'pip_python':
      return trans.__('package does not fit');
    case 'pip_conflict':
      return trans.__('packages conflict');
    case 'pip_index_unreachable':
      return trans.__('package index unreachable');
    case 'pip_path':
    case 'pip_requirement':
    case 'pip_requirements':
      return trans.__('bad requirements');
    case 'platform_down':
      return trans.__('platform went down');
    case 'platform_refused':
      return trans.__('refused by the platform');
    case 'platform_unreachable':
      return trans.__('platform unreachable');
    case 'proxy':
      return trans.__('proxy failed');
    case 'python_exception':
      return trans.__('error in the code');
    case 'read_only':
      return trans.__('wrote to a read-only place');
    case 'recursion':
      return trans.__('endless recursion');
    case 'image_signature':
    case 'registry_denied':
      return trans.__('image refused');
    case 'push_denied':
    case 'push_failed':
    case 'push_taken':
      return trans.__('not sent to the registry');
    case 'registry_broken':
      return trans.__('bad answer of the registry');
    case 'push_unreachable':
    case 'registry_http':
    case 'registry_rate_limited':
    case 'registry_unreachable':
      return trans.__('registry unreachable');
    case 'service_ended':
      return trans.__('ended by itself');
    case 'shm_too_small':
      return trans.__('shared memory full');
    case 'signal':
      return trans.__('ended by a signal');
    case 'config_missing':
    case 'start_failed':
      return trans.__('could not be started');
    case 'drained':
    case 'evicted':
    case 'evicted_disk':
    case 'evicted_memory':
    case 'preempted':
      return trans.__('moved off its node');
    case 'node_lost':
    case 'node_shutdown':
      return trans.__('node lost');
    case 'node_full':
    case 'node_refused':
      return trans.__('refused by its node');
    case 'agent_ended':
    case 'cluster_ended':
      return trans.__('ended by the cluster');
    case 'volume_missing':
      return trans.__('no volume');
    case 'cluster_quota':
      return trans.__('quota reached');
    case 'cluster_refused':
      return trans.__('refused by the cluster');
    case 'cluster_setup':
      return trans.__('cluster not ready');
    case 'stopped':
      return trans.__('stopped');
    case 'stopped_itself':
      return trans.__('stopped itself');
    case 'storage_broken':
      return trans.__('disk failed');
    case 'syntax_error':
      return trans.__('syntax error');
    case 'deadline':
    case 'time_limit':
      return trans.__('time limit reached');
    case 'too_many_files':
      return trans.__('too many files open');
    case 'too_many_processes':
      return trans.__('too many processes');
    case 'unhealthy':
      return trans.__('unhealthy');
    case 'upload_busy':
      return trans.__('upload in use');
    case 'upload_ended':
    case 'upload_gone':
      return trans.__('upload is gone');
    case 'worker_died':
    case 'worker_killed':
      return trans.__('worker died');
    case 'wrong_port':
      return trans.__('wrong port');
    default:
      return trans.__('failed: %1', reason.replace(/_/g, ' '));
  }
}
