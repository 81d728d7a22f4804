import * as React from 'react';

import type { ImageDetail } from '../../api/types';
import { Button, CopyBlock, Facts, TimeAgo } from '../../components/basic';
import { useKpl } from '../../context';
import { bytes, memory, trimmed } from '../../format';
import { sourceWords, visibilityWords } from '../../words';
import { CameFrom } from './builds';
import { acceleratorWords, contentWords } from './facts';
import { KINDS } from './values';

/**
 * What the image is, how it is used, and who may use it.
 */
export function ImageOverview(props: {
  image: ImageDetail;
  onPackages: () => void;
}): JSX.Element {
  const { trans } = useKpl();
  const { image } = props;
  return (
    <div className="kpl-Columns">
      <div>
        {image.description && <p>{image.description}</p>}
        <h2>{trans.__('What is in it')}</h2>
        <Content {...props} />
        <Variables values={image.variables} />
        {image.state === 'ready' && (
          <>
            <h2>{trans.__('Use it')}</h2>
            <CopyBlock
              label={trans.__('In environment.yml')}
              text={`image:\n  from_image: ${image.name}`}
            />
          </>
        )}
      </div>
      <aside>
        <h2>{trans.__('Who may use it')}</h2>
        <Facts
          items={[
            [trans.__('Visible to'), visibilityWords(trans, image.visibility)],
            [trans.__('Groups'), image.groups.join(', ')],
            [trans.__('Owner'), image.owner],
            [
              trans.__('From'),
              <>
                {sourceWords(trans, image.source)}
                <CameFrom image={image} />
              </>
            ],
            [trans.__('Further names'), image.aliases.join(', ')],
            [
              trans.__('Default'),
              image.default ? trans.__('of whoever names no image') : null
            ],
            [trans.__('Added'), <TimeAgo time={image.created_at} />],
            [trans.__('Id'), image.id]
          ]}
        />
        <h2>{trans.__('Resources of a notebook server')}</h2>
        <Amounts image={image} />
      </aside>
    </div>
  );
}

/**
 * Framework, packages, reference, digest, size.
 */
function Content(props: {
  image: ImageDetail;
  onPackages: () => void;
}): JSX.Element {
  const { trans } = useKpl();
  const { image, onPackages } = props;
  const count = Object.keys(image.packages).length;
  const isFolder = image.reference.startsWith('/');
  return (
    <Facts
      items={[
        [trans.__('Framework'), contentWords(image).join(' · ')],
        [trans.__('Made for'), acceleratorWords(trans, image.accelerator)],
        [
          trans.__('Notebook servers'),
          image.state === 'preparing' || image.state === 'failed'
            ? null
            : image.serves_notebooks
              ? trans.__('can start from it')
              : trans.__(
                  'cannot start from it: it has no JupyterLab with KPL Lab; tasks and services can'
                )
        ],
        [
          trans.__('Packages'),
          count > 0 ? (
            <Button look="link" onClick={onPackages}>
              {trans._n('%1 package', '%1 packages', count)}
            </Button>
          ) : null
        ],
        [
          isFolder ? trans.__('Folder') : trans.__('Reference'),
          <code className="kpl-breaks">{image.reference}</code>
        ],
        [
          trans.__('Digest'),
          image.digest && <code className="kpl-breaks">{image.digest}</code>
        ],
        [trans.__('Machine'), image.architecture],
        [
          trans.__('Size'),
          image.size_bytes === null ? null : bytes(image.size_bytes)
        ],
        [
          trans.__('Documentation'),
          image.documentation && (
            <a
              className="kpl-breaks"
              href={image.documentation}
              target="_blank"
              rel="noreferrer"
            >
              {image.documentation}
            </a>
          )
        ]
      ]}
    />
  );
}

/**
 * What is set in whatever starts from it.
 */
function Variables(props: {
  values: ImageDetail['variables'];
}): JSX.Element | null {
  const { trans } = useKpl();
  const pairs = Object.entries(props.values);
  if (pairs.length === 0) {
    return null;
  }
  return (
    <>
      <h2>{trans.__('Environment variables')}</h2>
      <table className="kpl-Table">
        <tbody>
          {pairs.map(([name, value]) => (
            <tr key={name}>
              <td>
                <code>{name}</code>
              </td>
              <td>
                <code className="kpl-breaks">{value}</code>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </>
  );
}

/**
 * What a server gets, and the most that it may be given.
 */
function Amounts(props: { image: ImageDetail }): JSX.Element {
  const { trans } = useKpl();
  const { default_resources, max_resources } = props.image;
  const names = {
    cpu: trans.__('CPU cores'),
    memory: trans.__('Memory'),
    gpu: trans.__('GPUs'),
    shm: trans.__('Shared memory')
  };
  const words = (kind: keyof typeof names, value: number): string =>
    kind === 'memory' || kind === 'shm' ? memory(value) : trimmed(value, 1);
  return (
    <table className="kpl-Table">
      <thead>
        <tr>
          <th />
          <th className="kpl-mod-number">{trans.__('By default')}</th>
          <th className="kpl-mod-number">{trans.__('At most')}</th>
        </tr>
      </thead>
      <tbody>
        {KINDS.map(kind => (
          <tr key={kind}>
            <td>{names[kind]}</td>
            <td className="kpl-mod-number">
              {words(kind, default_resources[kind])}
            </td>
            <td className="kpl-mod-number">
              {max_resources ? words(kind, max_resources[kind]) : '–'}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
