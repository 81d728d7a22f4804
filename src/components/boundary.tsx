import * as React from 'react';

/**
 * Keeps one broken view from taking the page with it.
 */
export class ErrorBoundary extends React.Component<
  { message: string; retry: string; children: React.ReactNode },
  { error: Error | null }
> {
  override state: { error: Error | null } = { error: null };

  static getDerivedStateFromError(error: Error): { error: Error } {
    return { error };
  }

  override render(): React.ReactNode {
    const { error } = this.state;
    if (!error) {
      return this.props.children;
    }
    return (
      <div className="kpl-Notice" data-tone="bad" role="alert">
        <div className="kpl-Notice-text">
          <strong>{this.props.message}</strong>
          <p>{error.message}</p>
        </div>
        <button
          type="button"
          className="jp-mod-styled jp-mod-reject kpl-Button"
          onClick={() => this.setState({ error: null })}
        >
          {this.props.retry}
        </button>
      </div>
    );
  }
}
