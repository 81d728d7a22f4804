import * as React from 'react';

import type { FormDescription, FunctionView, PortView } from '../../api/types';
import { Empty, Facts } from '../../components/basic';
import { useKpl } from '../../context';
import { memory } from '../../format';
import { portWords } from '../../words';
import { ParameterTable } from '../tasks/page';

/**
 * What an algorithm can do, what it takes and gives, and its parameters.
 */
export function Functions(props: {
  form: FormDescription | null;
}): JSX.Element {
  const { trans } = useKpl();
  const { form } = props;
  if (!form) {
    return <Empty text={trans.__('No version is ready yet.')} />;
  }
  return (
    <>
      {form.functions.map(item => (
        <FunctionCard key={item.name} item={item} />
      ))}
      <h2>{trans.__('Parameters and their defaults')}</h2>
      <ParameterTable values={form.parameter_defaults} />
    </>
  );
}

/**
 * One function.
 */
function FunctionCard(props: { item: FunctionView }): JSX.Element {
  const { trans } = useKpl();
  const { item } = props;
  const { resources } = item;
  return (
    <section className="kpl-Card">
      <h2>{item.name}</h2>
      <Facts
        items={[
          [trans.__('Command'), <code key="cmd">{item.cmd}</code>],
          [
            trans.__('Limits'),
            [
              trans.__('%1 CPU', resources.cpu),
              memory(resources.memory),
              resources.gpu > 0
                ? trans._n('%1 GPU', '%1 GPUs', resources.gpu)
                : ''
            ]
              .filter(Boolean)
              .join(' · ')
          ],
          [
            trans.__('Inputs'),
            item.inputs.length > 0 ? <Ports ports={item.inputs} /> : null
          ],
          [
            trans.__('Outputs'),
            item.outputs.length > 0 ? <Ports ports={item.outputs} /> : null
          ],
          [trans.__('Port'), item.port]
        ]}
      />
    </section>
  );
}

/**
 * Inputs or outputs.
 */
function Ports(props: { ports: PortView[] }): JSX.Element {
  const { trans } = useKpl();
  return (
    <ul className="kpl-Ports">
      {props.ports.map(port => (
        <li key={port.key}>
          <code>{port.key}</code> {port.name !== port.key && port.name}{' '}
          <span className="kpl-quiet">
            {[
              portWords(trans, port.kind),
              port.format ?? '',
              port.optional ? trans.__('optional') : ''
            ]
              .filter(Boolean)
              .join(' · ')}
          </span>
        </li>
      ))}
    </ul>
  );
}
