import * as React from 'react';

import { Empty, Notice } from '../../components/basic';
import type { ILabelledBox } from '../../components/picture';
import { Picture } from '../../components/picture';
import { useKpl } from '../../context';
import { bytes } from '../../format';

/**
 * What a service answered.
 */
export interface IAnswer {
  status: number;
  type: string;
  text: string;
  milliseconds: number;
}

/**
 * The shapes that `kpl_helper.deploy` makes.
 */
interface IDrawn {
  type?: string;
  height?: number;
  width?: number;
  error?: string;
  class_id?: number;
  class_name?: string;
  score?: number;
  objects?: ILabelledBox[];
  mask?: number[][];
}

/**
 * An answer: drawn where it is a known shape, and always as it came.
 */
export function Answer(props: {
  answer: IAnswer | null;
  picture: File | null;
}): JSX.Element {
  const { trans } = useKpl();
  const { answer, picture } = props;
  const url = useObjectUrl(picture);
  const value = React.useMemo(
    () => (answer ? parse(answer.text) : null),
    [answer]
  );
  if (!answer) {
    return url ? (
      <Picture src={url} alt={trans.__('The picture to send')} />
    ) : (
      <Empty text={trans.__('The answer will be here.')} />
    );
  }
  const drawn =
    typeof value === 'object' && value !== null ? (value as IDrawn) : {};
  const facts = (
    <p className="kpl-quiet">
      {[
        `HTTP ${answer.status}`,
        trans.__('%1 ms', Math.round(answer.milliseconds)),
        bytes(answer.text.length)
      ].join(' · ')}
    </p>
  );
  const raw = (
    <pre className="kpl-Pre" tabIndex={0}>
      {Private.short(value === null ? answer.text : pretty(value))}
    </pre>
  );
  // What a failed call answers beside its error means nothing.
  if (drawn.error) {
    return (
      <>
        <Notice tone="bad">{drawn.error}</Notice>
        {facts}
        <details>
          <summary>{trans.__('The answer as it came')}</summary>
          {raw}
        </details>
      </>
    );
  }
  return (
    <>
      {drawn.type === 'classification' && <Classified answer={drawn} />}
      {url && (
        <Picture
          src={url}
          alt={trans.__('The picture that was sent')}
          width={drawn.width}
          height={drawn.height}
          boxes={
            drawn.type === 'rectangle_box_detection' ? drawn.objects : undefined
          }
          mask={drawn.type === 'segmentation' ? drawn.mask : undefined}
        />
      )}
      {facts}
      {raw}
    </>
  );
}

/**
 * The class that was found, large.
 */
function Classified(props: { answer: IDrawn }): JSX.Element {
  const { trans } = useKpl();
  const { class_id: id, class_name: name, score } = props.answer;
  return (
    <p className="kpl-Classified">
      <span className="kpl-quiet">{trans.__('Class')}</span>
      <strong>{name ?? id}</strong>
      {name && id !== undefined && (
        <span className="kpl-quiet">{`#${id}`}</span>
      )}
      {score !== undefined && <span>{`${Math.round(score * 100)} %`}</span>}
    </p>
  );
}

/**
 * An address under which the page can show a file.
 */
function useObjectUrl(file: File | null): string | null {
  const [url, setUrl] = React.useState<string | null>(null);
  React.useEffect(() => {
    if (!file) {
      setUrl(null);
      return;
    }
    const created = URL.createObjectURL(file);
    setUrl(created);
    return () => URL.revokeObjectURL(created);
  }, [file]);
  return url;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null;
  }
}

function pretty(value: unknown): string {
  return JSON.stringify(value, null, 2);
}

/**
 * A namespace for private helpers.
 */
namespace Private {
  /**
   * An answer may be a mask of a million numbers: what a person reads is its start.
   */
  export function short(text: string): string {
    return text.length > 20_000 ? `${text.slice(0, 20_000)}\n…` : text;
  }
}
