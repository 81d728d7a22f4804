/**
 * What a front door says that has just been restarted and has not read its routes yet.
 */
const NO_ROUTES = '404 page not found\n';

/**
 * For how long it is asked again, in milliseconds.
 */
const PATIENCE = 2000;

/**
 * For how long one is awaited that is not there at all, because it is being started again.
 */
const ABSENCE = 4000;

/**
 * Send a request, and again while it meets a front door without routes: then nobody has seen it.
 *
 * @returns The answer; the front door's own when it has none for too long.
 */
export async function untilRouted(
  once: () => Promise<Response>
): Promise<Response> {
  const deadline = Date.now() + PATIENCE;
  for (let wait = 100; ; wait *= 2) {
    const response = await once();
    if (Date.now() + wait > deadline || !(await hasNoRoutes(response))) {
      return response;
    }
    await pause(wait);
  }
}

/**
 * Send a request, and again where nobody took it: for what may be done twice.
 */
async function untilThere(once: () => Promise<Response>): Promise<Response> {
  const deadline = Date.now() + ABSENCE;
  for (let wait = 100; ; wait *= 2) {
    try {
      return await once();
    } catch (error) {
      // So browsers say that nobody answered; who wants no answer any more says it otherwise.
      if (!(error instanceof TypeError) || Date.now() + wait > deadline) {
        throw error;
      }
    }
    await pause(wait);
  }
}

function pause(milliseconds: number): Promise<void> {
  return new Promise(resolve => window.setTimeout(resolve, milliseconds));
}

/**
 * Make JupyterLab's own requests as patient as ours: it would take the answer of a front door that
 * begins for the loss of a folder or a kernel, and its absence for the end of the server.
 *
 * What has a body is sent once: keeping it for a second time would hold an upload in memory.
 */
export function patient(fetch: typeof window.fetch): typeof window.fetch {
  return async (input, init) => {
    const isPlain =
      input instanceof Request &&
      (input.method === 'GET' || input.method === 'HEAD');
    // Called without an object, as browsers want it.
    return isPlain
      ? untilRouted(() =>
          untilThere(() => fetch.call(null, input.clone(), init))
        )
      : fetch.call(null, input, init);
  };
}

/**
 * Whether the front door itself answered. What the Jupyter server says carries a policy.
 */
export async function hasNoRoutes(response: Response): Promise<boolean> {
  return (
    response.status === 404 &&
    !response.headers.has('Content-Security-Policy') &&
    (await response.clone().text()) === NO_ROUTES
  );
}
