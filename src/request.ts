import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';

import type { Problem } from './api/types';
import { hasNoRoutes, untilRouted } from './patience';

/**
 * The folder of the Jupyter server under which the extension answers.
 */
export const ROOT = 'kpl-lab';

/**
 * The media type of refusals.
 */
const PROBLEM_TYPE = 'application/problem+json';

/**
 * A refused or failed request: the platform's own words, ready to be shown.
 */
export class PlatformError extends Error {
  constructor(options: PlatformError.IOptions) {
    super(options.message);
    this.name = 'PlatformError';
    this.code = options.code;
    this.status = options.status;
    this.detail = options.detail ?? {};
    this.requestId = options.requestId ?? '';
  }

  /**
   * What happened, as a word that programs understand, e.g. `not_found`.
   */
  readonly code: string;

  /**
   * The HTTP status; 0 when no answer came.
   */
  readonly status: number;

  /**
   * Facts that belong to the code, e.g. the fields that were refused.
   */
  readonly detail: Problem['detail'];

  /**
   * What an admin searches the log for.
   */
  readonly requestId: string;

  /**
   * Whether trying again later may help without a change by the user.
   */
  get isPassing(): boolean {
    return this.status === 0 || (this.status >= 502 && this.status <= 504);
  }
}

/**
 * The namespace of `PlatformError` statics.
 */
export namespace PlatformError {
  export interface IOptions {
    message: string;
    code: string;
    status: number;
    detail?: Problem['detail'];
    requestId?: string;
  }

  /**
   * Turn whatever was thrown into an error that can be shown.
   */
  export function from(error: unknown): PlatformError {
    if (error instanceof PlatformError) {
      return error;
    }
    const message = error instanceof Error ? error.message : String(error);
    return new PlatformError({ message, code: 'internal', status: 0 });
  }
}

/**
 * Parts of a request below the extension's folder.
 */
export interface IRequest {
  /**
   * The HTTP method, GET by default.
   */
  method?: string;

  /**
   * Query parameters; null and undefined ones are left out.
   */
  query?: Record<string, string | number | boolean | null | undefined>;

  /**
   * Sent as JSON.
   */
  json?: unknown;

  /**
   * Sent as it is.
   */
  body?: BodyInit;

  /**
   * Further headers.
   */
  headers?: Record<string, string>;

  /**
   * Cancels the request.
   */
  signal?: AbortSignal;

  /**
   * The answer is somebody else's: only a problem document is a refusal.
   */
  isForeign?: boolean;
}

/**
 * The address of a path below the extension's folder.
 */
export function address(
  settings: ServerConnection.ISettings,
  path: string,
  query: IRequest['query'] = {}
): string {
  const url = URLExt.join(settings.baseUrl, ROOT, path);
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) {
    if (value !== undefined && value !== null && value !== '') {
      search.set(key, String(value));
    }
  }
  const text = search.toString();
  return text ? `${url}?${text}` : url;
}

/**
 * Make one request through the Jupyter server.
 *
 * @returns The answer, whatever its type.
 * @throws PlatformError when the server cannot be reached or refuses.
 */
export async function request(
  settings: ServerConnection.ISettings,
  path: string,
  options: IRequest = {}
): Promise<Response> {
  const { json, query, isForeign, ...rest } = options;
  const init: RequestInit = { ...rest };
  if (json !== undefined) {
    init.body = JSON.stringify(json);
    init.headers = { ...rest.headers, 'Content-Type': 'application/json' };
  }
  const once = (): Promise<Response> =>
    ServerConnection.makeRequest(
      address(settings, path, query),
      init,
      settings
    );
  // What has no body is as patient as all of JupyterLab.
  const isPlain = ['GET', 'HEAD'].includes(init.method ?? 'GET');
  const response = await Private.told(
    isPlain ? once : () => untilRouted(once),
    options.signal
  );
  const isOurs =
    !isForeign ||
    (await hasNoRoutes(response)) ||
    response.headers.get('Content-Type')?.startsWith(PROBLEM_TYPE);
  if (!response.ok && isOurs) {
    throw await Private.refusal(response);
  }
  return response;
}

/**
 * Make one request and read its JSON answer; `undefined` for an empty one.
 */
export async function requestJSON<T>(
  settings: ServerConnection.ISettings,
  path: string,
  options: IRequest = {}
): Promise<T> {
  const response = await request(settings, path, options);
  const text = await response.text();
  return (text ? JSON.parse(text) : undefined) as T;
}

/**
 * A namespace for private helpers.
 */
namespace Private {
  /**
   * Send a request; what keeps it from being answered is told as ours.
   */
  export async function told(
    once: () => Promise<Response>,
    signal?: AbortSignal
  ): Promise<Response> {
    try {
      return await once();
    } catch (error) {
      if (signal?.aborted) {
        throw error;
      }
      throw new PlatformError({
        message: error instanceof Error ? error.message : String(error),
        code: 'unreachable',
        status: 0
      });
    }
  }

  /**
   * Read an error answer: a problem document, Jupyter's own shape, or text.
   *
   * The platform and the Jupyter server say in JSON what they do not find. A 404 in other words is
   * the front door's: it has just been restarted and does not know yet who answers.
   */
  export async function refusal(response: Response): Promise<PlatformError> {
    const text = await response.text();
    const problem = parse(text);
    if (response.status === 404 && Object.keys(problem).length === 0) {
      return new PlatformError({
        message: text,
        code: 'no_route',
        status: 503
      });
    }
    return new PlatformError({
      message:
        problem.message || text || `${response.status} ${response.statusText}`,
      code: problem.code ?? `http_${response.status}`,
      status: response.status,
      detail: problem.detail,
      requestId: problem.request_id
    });
  }

  function parse(text: string): Partial<Problem> {
    try {
      const value: unknown = JSON.parse(text);
      return typeof value === 'object' && value !== null ? value : {};
    } catch {
      return {};
    }
  }
}
