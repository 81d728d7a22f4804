import * as fs from 'fs';
import * as path from 'path';

const hub = path.resolve(__dirname, '../../kpl_lab/hub');
const own = JSON.parse(
  fs.readFileSync(path.join(hub, 'locale/zh.json'), 'utf8')
) as Record<string, string>;
const lab = JSON.parse(
  fs.readFileSync(
    path.join(hub, '../locale/zh_CN/LC_MESSAGES/kpl_lab.json'),
    'utf8'
  )
) as Record<string, string[]>;

/**
 * What the hub's pages make of a text for whoever reads Chinese (`texts.page_catalogs`).
 */
function pageText(): (english: string) => string {
  const zh: Record<string, string> = {};
  for (const [key, words] of Object.entries(lab)) {
    if (key.startsWith('platform\u0004')) {
      zh[key.slice('platform\u0004'.length)] = words[0];
    }
  }
  document.body.innerHTML = '<script id="kpl-catalogs"></script>';
  document.getElementById('kpl-catalogs')!.textContent = JSON.stringify({
    zh: { ...zh, ...own }
  });
  jest.spyOn(navigator, 'languages', 'get').mockReturnValue(['zh-CN']);
  const script = fs.readFileSync(
    path.join(hub, 'templates/kpl/texts.js'),
    'utf8'
  );
  new Function('window', 'document', 'navigator', script)(
    window,
    document,
    navigator
  );
  return (window as unknown as { kplText: (english: string) => string })
    .kplText;
}

describe('the pages of the hub', () => {
  const text = pageText();

  it.each([
    [
      'The node n1 is pulling the image a.b/c:1.',
      '节点 n1 正在拉取镜像 a.b/c:1。'
    ],
    [
      'No node of the cluster takes it yet: too little memory free (1 of 1). It asks for 32 GiB memory; in all the nodes have a: 16 GiB memory. No node has that much in all: ask for less, or choose another pool.',
      '集群中还没有节点可以运行它：空闲内存不足（1/1）。它申请 32 GiB memory；各节点总共有 a: 16 GiB memory。没有节点总共有这么多：请减少所申请的资源，或选择其他资源池。'
    ],
    [
      'The node n1 was lost, and it with it. Start it again: another node takes it, or it waits until there is room.',
      '节点 n1 丢失，它也随之丢失。请重新启动：会由其他节点运行，或等到有空闲。'
    ],
    [
      'Waiting for 1 GPU (0 free) and 2048 MiB of memory (512 free); 2 ahead of you.',
      '正在等待 1 块 GPU（空闲 0） 和 2048 MiB 内存（空闲 512）；前面还有 2 个。'
    ],
    ['Something new.', 'Something new.']
  ])('show in the reader’s language: %s', (english, chinese) => {
    expect(text(english)).toBe(chinese);
  });
});
