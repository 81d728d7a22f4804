import * as React from 'react';

import type { ClassCount } from '../../api/types';
import { classes as join } from '../../components/basic';
import { useKpl } from '../../context';
import { count } from '../../format';

/**
 * How many records each class has; a click shows that class alone.
 */
export function Histogram(props: {
  classes: ClassCount[];
  chosen: string | null;
  onChoose: (name: string | null) => void;
}): JSX.Element {
  const { trans } = useKpl();
  const { classes, chosen, onChoose } = props;
  const most = Math.max(...classes.map(item => item.count), 1);
  return (
    <aside className="kpl-Histogram" aria-label={trans.__('Classes')}>
      <h2>{trans._n('%1 class', '%1 classes', classes.length)}</h2>
      <ul>
        {classes.map(item => {
          const isChosen = item.class_name === chosen;
          return (
            <li key={item.class_name}>
              <button
                type="button"
                className={join('kpl-Histogram-bar', isChosen && 'kpl-mod-on')}
                aria-pressed={isChosen}
                title={trans._n('%1 record', '%1 records', item.count)}
                onClick={() => onChoose(isChosen ? null : item.class_name)}
              >
                <span className="kpl-Histogram-name" title={item.class_name}>
                  {item.class_name}
                </span>
                <span className="kpl-Histogram-track">
                  <span style={{ width: `${(item.count / most) * 100}%` }} />
                </span>
                <span className="kpl-Histogram-count">{count(item.count)}</span>
              </button>
            </li>
          );
        })}
      </ul>
      {chosen !== null && (
        <button
          type="button"
          className="kpl-LinkButton"
          onClick={() => onChoose(null)}
        >
          {trans.__('Show all classes')}
        </button>
      )}
    </aside>
  );
}
