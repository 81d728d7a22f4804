import * as React from 'react';

import type { ServiceDetail } from '../../api/types';
import { LogView } from '../../components/logview';
import { useKpl } from '../../context';
import { useLog } from '../../hooks/log';

/**
 * Whose log it is: one replica of the current revision, or of the one that is tried beside it.
 */
interface IWhose {
  revision: 'current' | 'candidate';
  replica: number;
}

/**
 * The log of one replica, to be chosen where there are several.
 */
export function Logs(props: { service: ServiceDetail }): JSX.Element {
  const { trans } = useKpl();
  const { service } = props;
  const [chosen, setChosen] = React.useState('');
  const candidate = service.revisions?.find(one => one.role === 'candidate');
  const current = service.instances.map((one): IWhose => ({
    revision: 'current',
    replica: one.index
  }));
  const tried = (candidate?.instances ?? []).map((one): IWhose => ({
    revision: 'candidate',
    replica: one.index
  }));
  const all = [...current, ...tried];
  const whose = all.find(one => nameOf(one) === chosen) ??
    all[0] ?? { revision: 'current', replica: 0 };
  return (
    <div className="kpl-Filling">
      {all.length > 1 && (
        <label className="kpl-Inline">
          {trans.__('Replica')}
          <select
            className="kpl-Select"
            value={nameOf(whose)}
            onChange={event => setChosen(event.target.value)}
          >
            {all.map(one => (
              <option key={nameOf(one)} value={nameOf(one)}>
                {one.revision === 'candidate'
                  ? trans.__(
                      '%1 of revision %2',
                      one.replica,
                      candidate?.number ?? ''
                    )
                  : one.replica}
              </option>
            ))}
          </select>
        </label>
      )}
      <ReplicaLog key={nameOf(whose)} service={service} whose={whose} />
    </div>
  );
}

/**
 * What tells the logs of a service apart.
 */
function nameOf(whose: IWhose): string {
  return `${whose.revision} ${whose.replica}`;
}

/**
 * The log of one replica, followed.
 */
function ReplicaLog(props: {
  service: ServiceDetail;
  whose: IWhose;
}): JSX.Element {
  const { client } = useKpl();
  const { id, name } = props.service;
  const { revision, replica } = props.whose;
  const resource = revision === 'candidate' ? 'candidates' : 'services';
  const model = useLog(`${resource}:${id}:${replica}`, offset =>
    client.services.log(id, replica, offset, revision)
  );
  const suffix = revision === 'candidate' ? '-candidate' : '';
  return model ? (
    <LogView model={model} filename={`${name}${suffix}-${replica}.log`} />
  ) : (
    <></>
  );
}
