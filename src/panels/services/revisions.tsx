import * as React from 'react';

import type { RevisionView, ServiceDetail } from '../../api/types';
import { Button, ErrorNotice, StateIcon } from '../../components/basic';
import { FailureNotice } from '../../components/failure';
import { SelectField } from '../../components/form';
import { NumberField, numberProblem } from '../../components/number';
import { useKpl } from '../../context';
import type { IAction } from '../../hooks';
import { useAction } from '../../hooks';
import type { ResourceDetail } from '../../models/detail';
import { stateWords } from '../../states';
import { useReadyNames } from '../forms/pickers';

interface IPartProps {
  service: ServiceDetail;
  action: IAction;

  /**
   * Ask the platform for a change, and show what the service is then.
   */
  onChange: (work: () => Promise<ServiceDetail>) => void;
}

/**
 * What runs, what is tried beside it, and what ran before: shares of the calls and changes of place.
 */
export function Revisions(props: {
  service: ServiceDetail;
  model: ResourceDetail<ServiceDetail>;
}): JSX.Element {
  const { trans } = useKpl();
  const { service, model } = props;
  const action = useAction();
  const onChange = (work: () => Promise<ServiceDetail>): void =>
    action.run(async () => model.put(await work()));
  const part = { service, action, onChange };
  const candidate = inRole(service, 'candidate');
  const isDown = service.state === 'stopped' || service.state === 'stopping';
  return (
    <div className="kpl-Revisions">
      <RevisionTable revisions={service.revisions ?? []} />
      {action.error && <ErrorNotice error={action.error} />}
      {candidate ? (
        <Candidate
          key={`${candidate.number} ${candidate.weight}`}
          candidate={candidate}
          {...part}
        />
      ) : isDown ? (
        <p className="kpl-quiet">
          {trans.__('Start the service before it gets another revision.')}
        </p>
      ) : (
        <>
          {inRole(service, 'previous') && <RollBack {...part} />}
          <Another {...part} />
        </>
      )}
    </div>
  );
}

/**
 * The revision of a service in a role, if there is one.
 */
function inRole(
  service: ServiceDetail,
  role: RevisionView['role']
): RevisionView | undefined {
  return service.revisions?.find(one => one.role === role);
}

/**
 * Every revision there is.
 */
function RevisionTable(props: { revisions: RevisionView[] }): JSX.Element {
  const { trans } = useKpl();
  const roles: Record<RevisionView['role'], string> = {
    current: trans.__('Current'),
    candidate: trans.__('Candidate'),
    previous: trans.__('Previous')
  };
  return (
    <table className="kpl-Table">
      <thead>
        <tr>
          <th className="kpl-mod-number">{trans.__('Revision')}</th>
          <th>{trans.__('Role')}</th>
          <th>{trans.__('State')}</th>
          <th className="kpl-mod-number">{trans.__('Calls')}</th>
          <th>{trans.__('Replicas')}</th>
          <th>{trans.__('Model')}</th>
          <th>{trans.__('Code')}</th>
        </tr>
      </thead>
      <tbody>
        {props.revisions.map(one => (
          <tr key={one.role}>
            <td className="kpl-mod-number">{one.number}</td>
            <td>{roles[one.role]}</td>
            <td>
              <span className="kpl-Inline">
                <StateIcon state={one.state} kind="services" />
                {stateWords(trans, one.state)}
              </span>
            </td>
            <td className="kpl-mod-number">
              {one.role === 'previous' ? '' : `${one.weight} %`}
            </td>
            <td>
              {one.role === 'previous'
                ? ''
                : trans.__('%1 of %2 ready', one.ready, one.replicas)}
            </td>
            <td>{one.model}</td>
            <td>{one.algorithm ?? one.code_name}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

const PERCENT = { min: 0, max: 100 };

/**
 * The candidate's share of the calls; promote it or drop it.
 */
function Candidate(
  props: IPartProps & { candidate: RevisionView }
): JSX.Element {
  const { client, trans } = useKpl();
  const { service, candidate, action, onChange } = props;
  const [weight, setWeight] = React.useState(candidate.weight);
  const isWrong = numberProblem(trans, weight, PERCENT) !== null;
  const label = trans.__('Calls of the candidate, in percent');
  return (
    <section>
      <h2>
        {trans.__('Revision %1 beside the current one', candidate.number)}
      </h2>
      {candidate.state === 'failed' && (
        <FailureNotice
          tone="bad"
          message={candidate.message}
          remedy={candidate.remedy}
        />
      )}
      <form
        className="kpl-Inline kpl-Traffic"
        onSubmit={event => {
          event.preventDefault();
          onChange(() => client.services.setTraffic(service.id, weight));
        }}
      >
        <input
          type="range"
          {...PERCENT}
          aria-label={label}
          value={weight}
          onChange={event => setWeight(Number(event.target.value))}
        />
        <input
          className="jp-mod-styled"
          type="number"
          {...PERCENT}
          required
          aria-label={trans.__('Percent')}
          value={weight}
          onChange={event => setWeight(Number(event.target.value))}
        />
        <span>%</span>
        <Button
          type="submit"
          disabled={action.isBusy || isWrong || weight === candidate.weight}
        >
          {trans.__('Apply')}
        </Button>
      </form>
      <p className="kpl-quiet">
        {candidate.is_promoted_when_ready
          ? trans.__('It becomes the current one as soon as it is ready.')
          : trans.__('It gets calls only while one of its replicas is ready.')}
      </p>
      <div className="kpl-Inline">
        <Button
          look="accept"
          disabled={action.isBusy || candidate.state !== 'running'}
          onClick={() => onChange(() => client.services.promote(service.id))}
        >
          {trans.__('Promote')}
        </Button>
        <Button
          look="warn"
          disabled={action.isBusy}
          onClick={() =>
            onChange(() =>
              client.services.dropRevision(service.id, 'candidate')
            )
          }
        >
          {trans.__('Drop')}
        </Button>
      </div>
    </section>
  );
}

/**
 * Bring the previous revision back, or forget it.
 */
function RollBack(props: IPartProps): JSX.Element {
  const { client, trans } = useKpl();
  const { service, action, onChange } = props;
  const previous = inRole(service, 'previous');
  return (
    <section>
      <h2>{trans.__('Revision %1, which ran before', previous?.number)}</h2>
      <div className="kpl-Inline">
        <Button
          disabled={action.isBusy}
          onClick={() => onChange(() => client.services.rollBack(service.id))}
        >
          {trans.__('Roll back')}
        </Button>
        <Button
          disabled={action.isBusy}
          onClick={() =>
            onChange(() => client.services.dropRevision(service.id, 'previous'))
          }
        >
          {trans.__('Forget')}
        </Button>
      </div>
    </section>
  );
}

/**
 * Start another revision: what is not chosen stays as it is.
 */
function Another(props: IPartProps): JSX.Element {
  const { client, trans } = useKpl();
  const { service, action, onChange } = props;
  const [model, setModel] = React.useState('');
  const [algorithm, setAlgorithm] = React.useState('');
  const [weight, setWeight] = React.useState<number | null>(null);
  const [promote, setPromote] = React.useState(false);
  const options = (now: string, names: string[]): Private.IOption[] => [
    { value: '', label: trans.__('As it is: %1', now) },
    ...names.map(name => ({
      value: name,
      label: trans.__('%1 (newest)', name)
    }))
  ];
  const isWrong = numberProblem(trans, weight, PERCENT) !== null;
  return (
    <form
      className="kpl-Narrow"
      onSubmit={event => {
        event.preventDefault();
        const body = {
          ...(model && { model }),
          ...(algorithm && { algorithm }),
          weight: weight ?? 0,
          promote
        };
        onChange(() => client.services.revise(service.id, body));
      }}
    >
      <h2>{trans.__('Another revision')}</h2>
      <SelectField
        label={trans.__('Model')}
        value={model}
        options={options(
          service.model ?? trans.__('None'),
          useReadyNames('models')
        )}
        onChange={setModel}
      />
      <SelectField
        label={trans.__('Code')}
        value={algorithm}
        options={options(
          service.algorithm ?? service.code_name,
          useReadyNames('algorithms')
        )}
        onChange={setAlgorithm}
      />
      <NumberField
        label={trans.__('Calls of the candidate, in percent')}
        value={weight}
        placeholder="0"
        {...PERCENT}
        onChange={setWeight}
      />
      <label className="kpl-Inline">
        <input
          type="checkbox"
          checked={promote}
          onChange={event => setPromote(event.target.checked)}
        />
        {trans.__('Make it the current one as soon as it is ready')}
      </label>
      <Button type="submit" disabled={action.isBusy || isWrong}>
        {trans.__('Start it beside the current one')}
      </Button>
    </form>
  );
}

/**
 * A namespace for private helpers.
 */
namespace Private {
  export interface IOption {
    value: string;
    label: string;
  }
}
