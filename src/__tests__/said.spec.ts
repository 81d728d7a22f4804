import * as fs from 'fs';
import * as path from 'path';

import type { TranslationBundle } from '@jupyterlab/translation';
import { nullTranslator } from '@jupyterlab/translation';

import { said } from '../said';
import SENTENCES from '../sentences.json';

const CONTEXT = 'platform\u0004';
const catalogue = JSON.parse(
  fs.readFileSync(
    path.resolve(
      __dirname,
      '../../kpl_lab/locale/zh_CN/LC_MESSAGES/kpl_lab.json'
    ),
    'utf8'
  )
) as Record<string, string[]>;
const chinese = {
  _p: (context: string, text: string) =>
    catalogue[`${context}\u0004${text}`]?.[0] ?? text
} as unknown as TranslationBundle;

describe('the sentences of the platform', () => {
  const translated = Object.keys(catalogue)
    .filter(key => key.startsWith(CONTEXT))
    .map(key => key.slice(CONTEXT.length));

  // New ones: `python tools/sentences.py`, then their Chinese into the catalogue.
  it('are all in the Chinese catalogue, and no others', () => {
    expect([...translated].sort()).toEqual([...SENTENCES].sort());
  });

  it('have in Chinese no place that they do not have', () => {
    const places = (text: string): string[] => text.match(/\{\w+\}/g) ?? [];
    const wrong = SENTENCES.filter(text =>
      places(catalogue[CONTEXT + text][0]).some(
        place => !places(text).includes(place)
      )
    );
    expect(wrong).toEqual([]);
  });

  it.each(SENTENCES)('are known with their values: %s', text => {
    const filled = text.replace(/\{(\w+)\}/g, '«$1»');
    expect(said(chinese, filled)).toMatch(/[\u4e00-\u9fff]/);
  });
});

describe('what the platform said', () => {
  it('is shown with its values', () => {
    expect(
      said(
        chinese,
        'It needed more memory than its limit: used 512 of 512 MiB.'
      )
    ).toBe('超出内存上限：使用了 512 / 512 MiB。');
  });

  it('is shown with what to do after the cause', () => {
    expect(
      said(
        chinese,
        "The Python package 'torch' is not installed in the environment. Add a line `pip3 install PACKAGE` for it to `image.runs` in environment.yml."
      )
    ).toBe(
      "环境中没有安装 Python 包 'torch'。请在 environment.yml 的 `image.runs` 中为它添加一行 `pip3 install PACKAGE`。"
    );
    expect(
      said(
        chinese,
        'It asks for 8 GPUs, and the machine has only 0 in all by now. Submit it again with less, or ask an administrator for a larger machine.'
      )
    ).toBe(
      '它要求 8 GPUs，而机器现在总共只有 0。请减少资源后重新提交，或向管理员申请更大的机器。'
    );
  });

  it('may hold a sentence', () => {
    expect(
      said(
        chinese,
        "The image 'torch' cannot be used: The command ended with exit code 3."
      )
    ).toBe("镜像 'torch' 无法使用：命令以退出码 3 结束。");
  });

  it('is what is waited for, with its amounts', () => {
    expect(
      said(
        chinese,
        'waiting for 1 GPU (0 free) and 2048 MiB of memory (512 free); 2 ahead of you'
      )
    ).toBe(
      '正在等待 1 块 GPU（空闲 0） 和 2048 MiB 内存（空闲 512）；前面还有 2 个'
    );
    expect(said(chinese, 'waiting for its turn; 2 ahead of you')).toBe(
      '排队等待中；前面还有 2 个'
    );
  });

  it('is what a cluster says of nodes, with names, amounts and what to do', () => {
    expect(
      said(
        chinese,
        'No node of the cluster takes it yet: too few GPUs free: nvidia.com/gpu (2 of 3), a taint that is not tolerated: dedicated=x (1 of 3). It asks for 8 nvidia.com/gpu; in all the nodes have n1: 8 nvidia.com/gpu; n2: 4 nvidia.com/gpu. It starts as soon as something ends; or ask for less.'
      )
    ).toBe(
      '集群中还没有节点可以运行它：空闲 GPU 不足：nvidia.com/gpu（2/3）、有不被容忍的污点：dedicated=x（1/3）。它申请 8 nvidia.com/gpu；各节点总共有 n1: 8 nvidia.com/gpu; n2: 4 nvidia.com/gpu。有任务结束后即会启动；也可以减少所申请的资源。'
    );
  });

  it('is why a gateway does not take a route, and where calls go meanwhile', () => {
    expect(
      said(
        chinese,
        "The gateway lab/web itself is not in order (no address). Until then calls go through the platform's own front door."
      )
    ).toBe(
      '网关 lab/web 自身有问题（no address）。在此之前，调用经由平台自身的入口。'
    );
  });

  it('is what a cluster says of an image, with the answer of its registry', () => {
    expect(
      said(
        chinese,
        'The node cannot pull the image a.b/c:1; it is tried again. The answer was: no such thing'
      )
    ).toBe('节点无法拉取镜像 a.b/c:1；正在重试。对方回答：no such thing');
    expect(
      said(
        chinese,
        "The cluster is not ready for it: The platform's account lab may not create jobs in the namespace lab; ask an administrator of the cluster to add to its Role the rule {verbs: [create]}. An administrator has to mend that; then start it again."
      )
    ).toContain('平台的账号 lab 无权 create jobs（命名空间 lab）');
  });

  it('stays as it came in English, and where nobody has translated it', () => {
    const trans = nullTranslator.load('kpl_lab');
    const text = 'The command ended with exit code 3.';
    expect(said(trans, text)).toBe(text);
    expect(said(chinese, 'Something new.')).toBe('Something new.');
    expect(said(chinese, null)).toBe('');
  });
});
