import * as React from 'react';

import { Empty } from '../../components/basic';
import { useKpl } from '../../context';

/**
 * The Python distributions that were found in an image, to be searched.
 */
export function Packages(props: {
  packages: Record<string, string>;
}): JSX.Element {
  const { trans } = useKpl();
  const [wanted, setWanted] = React.useState('');
  const all = Object.entries(props.packages).sort(([one], [other]) =>
    one.localeCompare(other)
  );
  if (all.length === 0) {
    return (
      <Empty
        text={trans.__(
          'Nobody has looked into it yet, or there is no Python in it.'
        )}
      />
    );
  }
  const found = all.filter(([name]) =>
    name.includes(wanted.trim().toLowerCase())
  );
  const label = trans.__('Search packages');
  return (
    <div className="kpl-Narrow">
      <input
        className="jp-mod-styled kpl-Packages-search"
        type="search"
        value={wanted}
        placeholder={label}
        aria-label={label}
        onChange={event => setWanted(event.target.value)}
      />
      {found.length === 0 ? (
        <p className="kpl-quiet">{trans.__('Nothing of this name.')}</p>
      ) : (
        <table className="kpl-Table">
          <thead>
            <tr>
              <th>{trans.__('Package')}</th>
              <th className="kpl-mod-number">{trans.__('Version')}</th>
            </tr>
          </thead>
          <tbody>
            {found.map(([name, version]) => (
              <tr key={name}>
                <td>{name}</td>
                <td className="kpl-mod-number">{version}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </div>
  );
}
