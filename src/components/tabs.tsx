import * as React from 'react';

/**
 * One tab of a page.
 */
export interface ITab {
  id: string;
  label: string;

  /**
   * Called only while the tab is shown.
   */
  content: () => React.ReactNode;

  /**
   * The content fills the height that is left and scrolls by itself.
   */
  fills?: boolean;
}

/**
 * Tabs within a page, with the keyboard of the ARIA pattern: arrows move, Tab enters.
 */
export function Tabs(props: {
  label: string;
  tabs: ITab[];
  current: string;
  onChange: (id: string) => void;
}): JSX.Element {
  const { tabs, onChange } = props;
  const prefix = React.useId();
  const list = React.useRef<HTMLDivElement>(null);
  const at = Math.max(
    0,
    tabs.findIndex(tab => tab.id === props.current)
  );
  const current = tabs[at];
  const move = (event: React.KeyboardEvent): void => {
    const last = tabs.length - 1;
    const target: Record<string, number> = {
      ArrowLeft: at === 0 ? last : at - 1,
      ArrowRight: at === last ? 0 : at + 1,
      End: last,
      Home: 0
    };
    const next = target[event.key];
    if (next !== undefined) {
      event.preventDefault();
      onChange(tabs[next].id);
      list.current?.querySelectorAll('button')[next]?.focus();
    }
  };
  return (
    <div className="kpl-Tabs">
      <div
        className="kpl-Tabs-list"
        role="tablist"
        aria-label={props.label}
        ref={list}
        onKeyDown={move}
      >
        {tabs.map(tab => (
          <button
            key={tab.id}
            id={`${prefix}-${tab.id}-tab`}
            type="button"
            role="tab"
            className="kpl-Tabs-tab"
            aria-selected={tab === current}
            aria-controls={`${prefix}-${tab.id}-panel`}
            tabIndex={tab === current ? 0 : -1}
            onClick={() => onChange(tab.id)}
          >
            {tab.label}
          </button>
        ))}
      </div>
      <div
        key={current.id}
        id={`${prefix}-${current.id}-panel`}
        className={
          current.fills ? 'kpl-Tabs-panel kpl-mod-fills' : 'kpl-Tabs-panel'
        }
        role="tabpanel"
        aria-labelledby={`${prefix}-${current.id}-tab`}
      >
        {current.content()}
      </div>
    </div>
  );
}
