import * as React from 'react';

import type { BuildView } from '../../api/types';
import { StateChip, TimeAgo } from '../../components/basic';
import { ResourceLink } from '../../components/links';
import { useKpl } from '../../context';
import { reasonWords } from '../../reasons';
import { said } from '../../said';
import { sourceOfBuildWords } from '../../words';

/**
 * The making of images: how each stands, what has come of it, when and by whom it was ordered.
 */
export function BuildTable(props: {
  builds: readonly BuildView[];
}): JSX.Element {
  const { trans } = useKpl();
  return (
    <table className="kpl-Table kpl-Builds">
      <thead>
        <tr>
          <th scope="col">{trans.__('Build')}</th>
          <th scope="col">{trans.__('State')}</th>
          <th scope="col">{trans.__('Outcome')}</th>
          <th scope="col">{trans.__('When')}</th>
          <th scope="col">{trans.__('By')}</th>
        </tr>
      </thead>
      <tbody>
        {props.builds.map(build => (
          <tr key={build.id} data-name={build.name}>
            <td>
              <ResourceLink kind="builds" id={build.id} name={build.name} />
              <div className="kpl-Builds-source kpl-quiet">
                {sourceOfBuildWords(trans, build.kind)}
              </div>
            </td>
            <td>
              <StateChip state={build.state} kind="builds" />
            </td>
            <td className="kpl-breaks">
              <Outcome build={build} />
            </td>
            <td>
              <TimeAgo time={build.created_at} />
            </td>
            <td>{build.owner}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/**
 * The image that it has made, or why it has made none.
 */
function Outcome(props: { build: BuildView }): JSX.Element | null {
  const { trans } = useKpl();
  const { image_id, message, name, reason, state } = props.build;
  if (state === 'succeeded' && image_id !== null) {
    return <ResourceLink kind="images" id={image_id} name={name} />;
  }
  return (
    <>
      {state === 'failed' && <strong>{reasonWords(trans, reason)}</strong>}
      {message && <div className="kpl-quiet">{said(trans, message)}</div>}
    </>
  );
}
