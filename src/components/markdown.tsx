import { MimeModel } from '@jupyterlab/rendermime';
import * as React from 'react';

import { useKpl } from '../context';

/**
 * Markdown of a stranger, rendered by JupyterLab's own renderer, which sanitises it.
 */
export function Markdown(props: { text: string }): JSX.Element {
  const { rendermime } = useKpl();
  const box = React.useRef<HTMLDivElement>(null);
  React.useEffect(() => {
    const mime = 'text/markdown';
    const renderer = rendermime.createRenderer(mime);
    const model = new MimeModel({ data: { [mime]: props.text } });
    void renderer.renderModel(model);
    box.current?.replaceChildren(renderer.node);
    return () => renderer.dispose();
  }, [rendermime, props.text]);
  return <div ref={box} className="kpl-Markdown jp-RenderedHTMLCommon" />;
}
