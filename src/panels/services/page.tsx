import { runIcon, stopIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import type { ServiceDetail } from '../../api/types';
import {
  Button,
  ErrorNotice,
  Facts,
  StateChip,
  StateIcon,
  TimeAgo
} from '../../components/basic';
import { EventList } from '../../components/events';
import { FailureNotice } from '../../components/failure';
import { ReferenceLink } from '../../components/links';
import { Page } from '../../components/page';
import { CommandIDs } from '../../commandids';
import { useKpl } from '../../context';
import { memory } from '../../format';
import { useAction } from '../../hooks';
import { serviceIcon } from '../../icons';
import type { ResourceDetail } from '../../models/detail';
import { said } from '../../said';
import { stateWords } from '../../states';
import { LastActions } from '../actions';
import type { IPageProps } from '../pages';
import { Access } from './access';
import { Logs } from './logs';
import { Revisions } from './revisions';
import { NO_TRIAL, ServiceTest } from './test';

/**
 * The page of a service.
 */
export function ServicePage(props: IPageProps<ServiceDetail>): JSX.Element {
  const { trans } = useKpl();
  const { model } = props;
  const [trial, setTrial] = React.useState(NO_TRIAL);
  return (
    <Page
      icon={serviceIcon}
      {...props}
      parts={service => ({
        facts: <Head service={service} />,
        actions: <Actions service={service} model={model} />,
        notice:
          service.state === 'failed' || service.state === 'degraded' ? (
            <Trouble service={service} />
          ) : null,
        notices: service.notices,
        tabs: [
          {
            id: 'health',
            label: trans.__('Health'),
            content: () => <Health service={service} model={model} />
          },
          {
            id: 'test',
            label: trans.__('Test'),
            content: () => (
              <ServiceTest
                service={service}
                trial={trial}
                onTrial={setTrial}
                onLogs={() => props.onTab('logs')}
              />
            )
          },
          {
            id: 'revisions',
            label: trans.__('Revisions'),
            content: () => <Revisions service={service} model={model} />
          },
          {
            id: 'logs',
            label: trans.__('Log'),
            fills: true,
            content: () => <Logs service={service} />
          },
          {
            id: 'access',
            label: trans.__('Access'),
            content: () => <Access service={service} model={model} />
          }
        ]
      })}
    />
  );
}

/**
 * State, replicas, what it runs.
 */
function Head(props: { service: ServiceDetail }): JSX.Element {
  const { trans } = useKpl();
  const { service } = props;
  return (
    <>
      <StateChip state={service.state} kind="services" />
      {service.state !== 'stopped' && (
        <span>
          {trans.__('%1 of %2 ready', service.ready, service.replicas)}
        </span>
      )}
      <code>{service.url}</code>
      <span>
        <TimeAgo time={service.created_at} />
      </span>
      <span>{service.owner}</span>
    </>
  );
}

/**
 * Stop or start, delete, copy the link.
 */
function Actions(props: {
  service: ServiceDetail;
  model: ResourceDetail<ServiceDetail>;
}): JSX.Element {
  const { commands, trans } = useKpl();
  const { service } = props;
  const args = { kind: 'services', id: service.id, name: service.name };
  const isDown = service.state === 'stopped' || service.state === 'failed';
  return (
    <>
      <Button
        look={isDown ? 'accept' : 'plain'}
        icon={isDown ? runIcon : stopIcon}
        disabled={service.state === 'stopping'}
        onClick={() =>
          void commands.execute(
            isDown ? CommandIDs.startService : CommandIDs.stopService,
            args
          )
        }
      >
        {isDown ? trans.__('Start') : trans.__('Stop')}
      </Button>
      <LastActions args={args} />
    </>
  );
}

/**
 * Why it does not answer as it should.
 */
function Trouble(props: { service: ServiceDetail }): JSX.Element | null {
  const { message, remedy, state } = props.service;
  return message || remedy ? (
    <FailureNotice
      tone={state === 'failed' ? 'bad' : 'warn'}
      message={message}
      remedy={remedy}
    />
  ) : null;
}

/**
 * The replicas, how many there should be, and what happened.
 */
function Health(props: {
  service: ServiceDetail;
  model: ResourceDetail<ServiceDetail>;
}): JSX.Element {
  const { client, trans } = useKpl();
  const { service, model } = props;
  return (
    <div className="kpl-Columns">
      <div>
        <h2>{trans.__('Replicas')}</h2>
        <Scale key={service.replicas} service={service} model={model} />
        <table className="kpl-Table kpl-Replicas">
          <thead>
            <tr>
              <th className="kpl-mod-number">{trans.__('Replica')}</th>
              <th>{trans.__('State')}</th>
              <th>{trans.__('Started')}</th>
              <th className="kpl-mod-number">{trans.__('Restarts')}</th>
              <th>{trans.__('Message')}</th>
            </tr>
          </thead>
          <tbody>
            {service.instances.map(replica => (
              <tr key={replica.index}>
                <td className="kpl-mod-number">{replica.index}</td>
                <td>
                  <span className="kpl-Inline">
                    <StateIcon state={replica.state} kind="services" />
                    {stateWords(trans, replica.state)}
                  </span>
                </td>
                <td>
                  {replica.started_at && <TimeAgo time={replica.started_at} />}
                </td>
                <td className="kpl-mod-number">{replica.restarts}</td>
                <td className="kpl-quiet">{said(trans, replica.message)}</td>
              </tr>
            ))}
          </tbody>
        </table>
        <EventList
          name={`services/${service.id}`}
          revision={model.revision}
          read={() => client.services.events(service.id)}
        />
      </div>
      <aside>
        <h2>{trans.__('About')}</h2>
        <Facts
          items={[
            [
              trans.__('Model'),
              service.model ? (
                <ReferenceLink
                  kind="models"
                  reference={service.model}
                  id={service.model_id}
                />
              ) : null
            ],
            [
              trans.__('Code'),
              service.algorithm ? (
                <ReferenceLink
                  kind="algorithms"
                  reference={service.algorithm}
                />
              ) : (
                service.code_name
              )
            ],
            [
              trans.__('Limits'),
              [
                trans.__('%1 CPU', service.resources.cpu),
                memory(service.resources.memory)
              ].join(' · ')
            ],
            [trans.__('Resource pool'), service.pool || null],
            [trans.__('Id'), service.id]
          ]}
        />
        {service.description && <p>{service.description}</p>}
      </aside>
    </div>
  );
}

/**
 * How many replicas there should be.
 */
function Scale(props: {
  service: ServiceDetail;
  model: ResourceDetail<ServiceDetail>;
}): JSX.Element {
  const { client, trans } = useKpl();
  const { service, model } = props;
  const action = useAction();
  const [value, setValue] = React.useState(service.replicas);
  return (
    <form
      className="kpl-Inline kpl-Scale"
      onSubmit={event => {
        event.preventDefault();
        action.run(async () =>
          model.put(
            await client.services.update(service.id, { replicas: value })
          )
        );
      }}
    >
      <label className="kpl-Inline">
        {trans.__('Wanted')}
        <input
          className="jp-mod-styled"
          type="number"
          min={1}
          max={64}
          required
          value={value}
          onChange={event => setValue(Number(event.target.value))}
        />
      </label>
      <Button
        type="submit"
        disabled={action.isBusy || value === service.replicas || value < 1}
      >
        {trans.__('Scale')}
      </Button>
      {value < 1 && (
        <span className="kpl-quiet">
          {trans.__('At least 1; to have none, stop the service.')}
        </span>
      )}
      {action.error && <ErrorNotice error={action.error} />}
    </form>
  );
}
