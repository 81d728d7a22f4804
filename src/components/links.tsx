import * as React from 'react';

import { useKpl } from '../context';
import { RESOURCE_ICONS } from '../icons';
import type { ResourceKind } from '../tokens';

/**
 * A resource as icon and name that opens its page. Without an id it is looked up by name.
 */
export function ResourceLink(props: {
  kind: ResourceKind;
  id?: number | null;
  name: string;
  version?: number | null;
}): JSX.Element {
  const { client, workbench } = useKpl();
  const { kind, id, name, version } = props;
  const Icon = RESOURCE_ICONS[kind].react;
  const open = async (): Promise<void> => {
    const found = id ?? (await client[kind].get(name)).id;
    workbench.openDetail(kind, found);
  };
  return (
    <button
      type="button"
      className="kpl-LinkButton kpl-ResourceLink"
      onClick={() => void open()}
    >
      <Icon tag="span" className="kpl-Button-icon" width="14px" />
      <span>{name}</span>
      {typeof version === 'number' && (
        <span className="kpl-quiet">{`v${version}`}</span>
      )}
    </button>
  );
}

/**
 * A resource that is named `NAME:VERSION`.
 */
export function ReferenceLink(props: {
  kind: ResourceKind;
  reference: string;
  id?: number | null;
}): JSX.Element {
  const match = /^(.*):(\d+)$/.exec(props.reference);
  return (
    <ResourceLink
      kind={props.kind}
      id={props.id}
      name={match ? match[1] : props.reference}
      version={match ? Number(match[2]) : null}
    />
  );
}
