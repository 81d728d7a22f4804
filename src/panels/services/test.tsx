import { runIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import type { ServiceDetail } from '../../api/types';
import { Button, CopyBlock, ErrorNotice, Notice } from '../../components/basic';
import { useKpl } from '../../context';
import { useAction } from '../../hooks';
import { PlatformError } from '../../request';
import { Answer, type IAnswer } from './answer';
import { InputField } from './fields';
import type { CallValues, ICall } from './interface';
import {
  PLAIN_CALL,
  command,
  curl,
  isFile,
  prepare,
  python,
  readInterface
} from './interface';
import { Silent, isSilent } from './silent';

/**
 * What was put in and what came back; kept while the page is open.
 */
export interface ITrial {
  chosen: number;
  values: CallValues | null;
  answer: IAnswer | null;
  silence: number | null;
}

export const NO_TRIAL: ITrial = {
  chosen: 0,
  values: null,
  answer: null,
  silence: null
};

/**
 * Try a service: a form from its interface description, the answer drawn, and the same
 * call to copy.
 */
export function ServiceTest(props: {
  service: ServiceDetail;
  trial: ITrial;
  onTrial: (change: (trial: ITrial) => ITrial) => void;
  onLogs: () => void;
}): JSX.Element {
  const { trans } = useKpl();
  const { service, trial, onTrial } = props;
  const { chosen } = trial;
  const calls = React.useMemo(
    () => readInterface(service.interface),
    [service.interface]
  );
  const call = calls[chosen] ?? PLAIN_CALL;
  return (
    <>
      {service.ready === 0 && (
        <Notice tone="warn">
          {trans.__('No replica is ready: calls will not be answered now.')}
        </Notice>
      )}
      {calls.length > 1 && (
        <label className="kpl-Field kpl-Narrow">
          <span>{trans.__('Call')}</span>
          <select
            className="kpl-Select"
            value={chosen}
            onChange={event => {
              const at = Number(event.target.value);
              onTrial(() => ({ ...NO_TRIAL, chosen: at }));
            }}
          >
            {calls.map((item, at) => (
              <option key={item.name} value={at}>
                {item.name}
              </option>
            ))}
          </select>
        </label>
      )}
      <CallForm
        key={chosen}
        service={service}
        call={call}
        trial={trial}
        onTrial={onTrial}
        onLogs={props.onLogs}
      />
    </>
  );
}

/**
 * The form of one call beside its answer.
 */
function CallForm(props: {
  service: ServiceDetail;
  call: ICall;
  trial: ITrial;
  onTrial: (change: (trial: ITrial) => ITrial) => void;
  onLogs: () => void;
}): JSX.Element {
  const { client, trans } = useKpl();
  const { service, call, onTrial } = props;
  const { answer, silence } = props.trial;
  const set = (part: Partial<ITrial>): void =>
    onTrial(now => ({ ...now, ...part }));
  const action = useAction();
  const values =
    props.trial.values ??
    Object.fromEntries(
      call.inputs.map(input => [
        input.name,
        isFile(call, input) ? undefined : input.example
      ])
    );
  const picture = Object.values(values).find(
    (value): value is File =>
      value instanceof File && value.type.startsWith('image/')
  );
  const send = async (): Promise<void> => {
    const { path, ...prepared } = prepare(call, values);
    const began = performance.now();
    set({ answer: null, silence: null });
    try {
      const response = await client.services.call(service.id, path, prepared);
      const text = await response.text();
      set({
        silence: isSilent(response.status) ? response.status : null,
        answer: {
          status: response.status,
          type: response.headers.get('Content-Type') ?? '',
          text,
          milliseconds: performance.now() - began
        }
      });
    } catch (reason) {
      const error = PlatformError.from(reason);
      // Said in the service's place, not of the platform.
      if (!error.code.startsWith('service_')) {
        throw error;
      }
      set({
        silence: error.code === 'service_unreachable' ? 0 : error.status
      });
    }
  };
  const address = new URL(service.url, window.location.origin).href;
  return (
    <div className="kpl-Test">
      <form
        className="kpl-Test-form"
        onSubmit={event => {
          event.preventDefault();
          action.run(send);
        }}
      >
        <p className="kpl-quiet">
          <code>{`${call.method} ${call.path}`}</code>
        </p>
        {call.inputs.map(input => (
          <InputField
            key={input.name}
            call={call}
            input={input}
            value={values[input.name]}
            onChange={value =>
              set({ values: { ...values, [input.name]: value } })
            }
          />
        ))}
        <Button
          type="submit"
          look="accept"
          icon={runIcon}
          disabled={action.isBusy}
        >
          {action.isBusy ? trans.__('Waiting…') : trans.__('Call')}
        </Button>
        {action.error && <ErrorNotice error={action.error} />}
      </form>
      <section className="kpl-Test-answer" aria-live="polite">
        {silence !== null && (
          <Silent service={service} status={silence} onLogs={props.onLogs} />
        )}
        {(silence === null || answer?.text) && (
          <Answer answer={answer} picture={picture ?? null} />
        )}
      </section>
      <section className="kpl-Test-code">
        <h2>{trans.__('The same call elsewhere')}</h2>
        {service.access !== 'public' && (
          <p className="kpl-quiet">
            {trans.__(
              'In a terminal or notebook of this JupyterLab it runs as it is; elsewhere put a personal token in its place.'
            )}
          </p>
        )}
        <CopyBlock
          label={trans.__('curl')}
          text={curl(call, values, address, service.access === 'public')}
        />
        <CopyBlock
          label={trans.__('Terminal')}
          text={command(call, values, service.name)}
        />
        <CopyBlock
          label={trans.__('Python')}
          text={python(call, values, address, service.access === 'public')}
        />
      </section>
    </div>
  );
}
