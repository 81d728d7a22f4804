import { runIcon } from '@jupyterlab/ui-components';
import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import type { ServiceDetail } from '../../api/types';
import { Button, Notice } from '../../components/basic';
import { CommandIDs } from '../../commandids';
import { useKpl } from '../../context';
import { said } from '../../said';
import { stateWords } from '../../states';

/**
 * Whether a call came back with nobody behind the service's address having answered it.
 */
export function isSilent(status: number): boolean {
  return status === 0 || (status >= 502 && status <= 504);
}

/**
 * That the service (not the platform) did not answer: its state, and what to do.
 */
export function Silent(props: {
  service: ServiceDetail;
  status: number;
  onLogs: () => void;
}): JSX.Element {
  const { commands, trans } = useKpl();
  const { service, status, onLogs } = props;
  const isDown = service.state === 'stopped' || service.state === 'failed';
  return (
    <div role="alert">
      <Notice
        tone={service.state === 'deploying' ? 'warn' : 'bad'}
        title={
          status
            ? trans.__('The service did not answer (HTTP %1).', status)
            : trans.__('The service did not answer.')
        }
      >
        <p>
          {trans.__('State: %1', stateWords(trans, service.state))}
          {' · '}
          {trans.__('%1 of %2 ready', service.ready, service.replicas)}
        </p>
        <p>
          <strong>{trans.__('What to do:')}</strong> {nextStep(trans, service)}
        </p>
        <p className="kpl-Inline">
          {isDown && (
            <Button
              icon={runIcon}
              onClick={() =>
                void commands.execute(CommandIDs.startService, {
                  kind: 'services',
                  id: service.id,
                  name: service.name
                })
              }
            >
              {trans.__('Start')}
            </Button>
          )}
          {service.state !== 'stopped' && (
            <Button onClick={onLogs}>{trans.__('Show its log')}</Button>
          )}
        </p>
      </Notice>
    </div>
  );
}

/**
 * What helps, by the service's state.
 */
function nextStep(trans: TranslationBundle, service: ServiceDetail): string {
  switch (service.state) {
    case 'stopped':
      return trans.__('Start it; the address stays the same.');
    case 'stopping':
      return trans.__('Wait until it has stopped, then start it again.');
    case 'deploying':
      return trans.__('Wait until a replica is ready, then call again.');
    case 'failed':
      return (
        said(trans, service.remedy?.action) ||
        trans.__('Look at its log, mend the code, and deploy it again.')
      );
    default:
      return service.ready === 0
        ? trans.__('Its replicas are not ready; its log says why.')
        : trans.__(
            'Call again in a moment; if that does not help, its log says why.'
          );
  }
}
