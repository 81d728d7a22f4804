import * as React from 'react';

import type {
  LineageLink,
  ModelDetail,
  ModelVersionView
} from '../../api/types';
import { ResourceLink } from '../../components/links';
import { useKpl } from '../../context';
import { modelIcon } from '../../icons';
import { pluralKind } from '../../kinds';

/**
 * Where a version came from and what uses it, from left to right.
 */
export function Lineage(props: {
  model: ModelDetail;
  version: ModelVersionView;
}): JSX.Element {
  const { trans } = useKpl();
  const { model, version } = props;
  const related = (relation: string): LineageLink[] =>
    version.lineage.filter(link => link.relation === relation);
  const made = related('made_by');
  return (
    <div className="kpl-Lineage">
      <Column
        title={trans.__('Made from')}
        links={[...related('input'), ...related('code')]}
        none={trans.__('Nothing is known.')}
      />
      {made.length > 0 && (
        <Column title={trans.__('Made by')} links={made} none="" />
      )}
      <section>
        <h2>{trans.__('This version')}</h2>
        <ul>
          <li className="kpl-mod-this">
            <modelIcon.react
              tag="span"
              className="kpl-Button-icon"
              width="14px"
            />
            <span>{`${model.name} v${version.number}`}</span>
          </li>
        </ul>
      </section>
      <Column
        title={trans.__('Used by')}
        links={related('used_by')}
        none={trans.__('Nothing yet.')}
      />
    </div>
  );
}

/**
 * One step of the lineage.
 */
function Column(props: {
  title: string;
  links: LineageLink[];
  none: string;
}): JSX.Element {
  const { title, links, none } = props;
  return (
    <section>
      <h2>{title}</h2>
      {links.length === 0 && <p className="kpl-quiet">{none}</p>}
      <ul>
        {links.map(link => {
          const kind = pluralKind(link.kind);
          return (
            <li key={`${link.kind}-${link.id}-${link.key ?? ''}`}>
              {kind ? (
                <ResourceLink
                  kind={kind}
                  id={link.id}
                  name={link.name}
                  version={link.version}
                />
              ) : (
                link.name
              )}
              {link.key && <code>{link.key}</code>}
            </li>
          );
        })}
      </ul>
    </section>
  );
}
