import * as React from 'react';

/**
 * A labelled box, in pixels of the picture as it was stored.
 */
export interface ILabelledBox {
  name: string;
  xmin: number;
  ymin: number;
  xmax: number;
  ymax: number;
  score?: number;
}

/**
 * A picture with boxes or a mask drawn over it.
 */
export function Picture(props: {
  src: string;
  alt: string;

  /**
   * The size that the boxes refer to; the picture's own where it is left out.
   */
  width?: number;
  height?: number;
  boxes?: ILabelledBox[];

  /**
   * A class for each pixel, row by row; 0 is background.
   */
  mask?: number[][];
}): JSX.Element {
  const { boxes = [], mask } = props;
  const [natural, setNatural] = React.useState<[number, number] | null>(null);
  const width = props.width || natural?.[0];
  const height = props.height || natural?.[1];
  return (
    <div className="kpl-Picture">
      <img
        src={props.src}
        alt={props.alt}
        data-small={(natural && natural[0] < 64) || undefined}
        onLoad={({ currentTarget: image }) =>
          setNatural([image.naturalWidth, image.naturalHeight])
        }
      />
      {mask && <Mask rows={mask} />}
      {boxes.length > 0 && width && height && (
        <svg
          viewBox={`0 0 ${width} ${height}`}
          preserveAspectRatio="none"
          aria-hidden="true"
        >
          {boxes.map((box, at) => (
            <g key={at} data-series={at % 5}>
              <rect
                x={box.xmin}
                y={box.ymin}
                width={Math.max(0, box.xmax - box.xmin)}
                height={Math.max(0, box.ymax - box.ymin)}
              />
            </g>
          ))}
        </svg>
      )}
      {width && height
        ? boxes.map((box, at) => (
            <span
              key={at}
              className="kpl-Picture-label"
              data-series={at % 5}
              style={{
                left: `${(box.xmin / width) * 100}%`,
                top: `${(box.ymin / height) * 100}%`
              }}
            >
              {Private.label(box)}
            </span>
          ))
        : null}
    </div>
  );
}

/**
 * A mask as a half transparent layer over a picture.
 */
function Mask(props: { rows: number[][] }): JSX.Element {
  const { rows } = props;
  const canvas = React.useRef<HTMLCanvasElement>(null);
  React.useEffect(() => {
    const node = canvas.current;
    const paper = node?.getContext('2d');
    if (!node || !paper) {
      return;
    }
    node.height = rows.length;
    node.width = rows[0]?.length ?? 0;
    if (node.width === 0) {
      return;
    }
    const pixels = paper.createImageData(node.width, node.height);
    rows.forEach((row, y) =>
      row.forEach((value, x) => {
        if (value) {
          const at = (y * node.width + x) * 4;
          const [red, green, blue] =
            Private.MASK_COLORS[value % Private.MASK_COLORS.length];
          pixels.data.set([red, green, blue, 140], at);
        }
      })
    );
    paper.putImageData(pixels, 0, 0);
  }, [rows]);
  return <canvas ref={canvas} className="kpl-Picture-mask" aria-hidden />;
}

/**
 * A namespace for private helpers.
 */
namespace Private {
  /**
   * Five colours that stay apart for people who see no red or green.
   */
  export const MASK_COLORS: [number, number, number][] = [
    [0, 114, 178],
    [230, 159, 0],
    [0, 158, 115],
    [204, 121, 167],
    [213, 94, 0]
  ];

  export function label(box: ILabelledBox): string {
    return box.score === undefined || box.score === null
      ? box.name
      : `${box.name} ${Math.round(box.score * 100)} %`;
  }
}
