import * as React from 'react';

import type { ServiceDetail } from '../../api/types';
import { CopyBlock, ErrorNotice } from '../../components/basic';
import { useKpl } from '../../context';
import { useAction } from '../../hooks';
import type { ResourceDetail } from '../../models/detail';

/**
 * Who may call it, and from where.
 */
export function Access(props: {
  service: ServiceDetail;
  model: ResourceDetail<ServiceDetail>;
}): JSX.Element {
  const { client, trans } = useKpl();
  const { service, model } = props;
  const action = useAction();
  return (
    <div className="kpl-Narrow">
      <label className="kpl-Field">
        <span>{trans.__('Who may call it')}</span>
        <select
          className="kpl-Select"
          value={service.access}
          disabled={action.isBusy}
          onChange={event => {
            const access = event.target.value as 'private';
            action.run(async () =>
              model.put(await client.services.update(service.id, { access }))
            );
          }}
        >
          <option value="private">{trans.__('I alone, with my token')}</option>
          <option value="workspace">
            {trans.__('Members of the workspace, with their tokens')}
          </option>
          <option value="public">
            {trans.__('Everybody, without a token')}
          </option>
        </select>
      </label>
      {action.error && <ErrorNotice error={action.error} />}
      <CopyBlock
        label={trans.__('Address')}
        text={new URL(service.url, window.location.origin).href}
      />
      <p className="kpl-quiet">
        {trans.__(
          'The address stays the same while the service is stopped, started and scaled.'
        )}
      </p>
    </div>
  );
}
