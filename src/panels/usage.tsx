import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import type { IGpuUsage, IServerUsage } from '../api/local';
import { memory, trimmed } from '../format';
import { useModel } from '../hooks';
import type { Tone, UsageModel } from '../models/usage';
import { toneOf } from '../models/usage';

/**
 * One thing that the server uses: in short, and in a sentence.
 */
interface IPart {
  key: string;
  short: string;
  words: string;
  tone: Tone;
}

/**
 * The status bar's words about this server.
 */
export function UsageStatus(props: {
  model: UsageModel;
  trans: TranslationBundle;
  onClick: () => void;
}): JSX.Element {
  const { model, trans, onClick } = props;
  useModel(model);
  if (!model.usage) {
    return <></>;
  }
  const parts = partsOf(trans, model.usage);
  return (
    <button
      type="button"
      className="kpl-Status kpl-Usage"
      title={[
        ...parts.map(part => part.words),
        trans.__('Click to see what fills the home folder.')
      ].join('\n')}
      onClick={onClick}
    >
      {parts.map(part => (
        <span key={part.key} className="kpl-Usage-part" data-tone={part.tone}>
          {part.short}
        </span>
      ))}
    </button>
  );
}

/**
 * An amount in use and its limit, with the unit once: `1.2 / 4 GiB`.
 */
export function ofLimit(used: number, limit: number): string {
  const [whole, unit] = memory(limit).split(' ');
  const sizes: Record<string, number> = { MiB: 1, GiB: 1024, TiB: 1024 ** 2 };
  return `${trimmed(used / (sizes[unit] ?? 1), 1)} / ${whole} ${unit}`;
}

/**
 * What is said, in the order of the status bar.
 */
export function partsOf(
  trans: TranslationBundle,
  usage: IServerUsage
): IPart[] {
  return [
    cpuPart(trans, usage),
    memoryPart(trans, usage),
    ...usage.gpus.map(gpu => gpuPart(trans, gpu)),
    diskPart(trans, usage)
  ];
}

function cpuPart(trans: TranslationBundle, usage: IServerUsage): IPart {
  const used = trimmed(usage.cpu, 1);
  const limit = usage.cpu_limit && trimmed(usage.cpu_limit, 1);
  return {
    key: 'cpu',
    short: limit
      ? trans.__('CPU %1 / %2', used, limit)
      : trans.__('CPU %1', used),
    words: limit
      ? trans.__(
          'CPU: %1 of %2 cores in use. At the limit work gets slow, nothing ends.',
          used,
          limit
        )
      : trans.__('CPU: %1 cores in use', used),
    // Cores at work are what they are for.
    tone: undefined
  };
}

function memoryPart(trans: TranslationBundle, usage: IServerUsage): IPart {
  const { memory: used, memory_limit: limit, kernels } = usage;
  const words = limit
    ? trans.__(
        'Memory: %1 of %2 in use. Above the limit a kernel is ended.',
        memory(used),
        memory(limit)
      )
    : trans.__('Memory: %1 in use', memory(used));
  const largest = kernels
    .slice(0, 3)
    .map(one => `\n  ${one.path}: ${memory(one.memory)}`);
  return {
    key: 'memory',
    short: trans.__('Memory %1', limit ? ofLimit(used, limit) : memory(used)),
    words: words + largest.join(''),
    tone: toneOf(used, limit)
  };
}

function gpuPart(trans: TranslationBundle, gpu: IGpuUsage): IPart {
  const { index, name, busy, memory: used, memory_limit: limit } = gpu;
  const share = busy === null ? '' : `${busy} %`;
  const room = used !== null && limit !== null ? ofLimit(used, limit) : '';
  return {
    key: `gpu-${index}`,
    short: trans.__(
      'GPU %1',
      [share, room].filter(Boolean).join(' · ') || String(index)
    ),
    words: trans.__(
      'GPU %1 (%2): busy %3 of the time, memory %4',
      index,
      name,
      share || '–',
      room || '–'
    ),
    tone: toneOf(used, limit)
  };
}

function diskPart(trans: TranslationBundle, usage: IServerUsage): IPart {
  const { disk_used: used, disk_free: free, home } = usage;
  const size = used + free;
  const words = trans.__(
    'Disk of the home folder: %1 of %2 in use, %3 free',
    memory(used),
    memory(size),
    memory(free)
  );
  return {
    key: 'disk',
    short: trans.__('Disk %1', ofLimit(used, size)),
    words:
      home === null
        ? words
        : `${words}\n${trans.__('Home folder: %1', memory(home))}`,
    tone: usage.is_disk_full ? 'bad' : toneOf(used, size)
  };
}
