const { default: Environment } = require('@jupyterlab/testing/lib/jest-env');

/**
 * The browser that the tests see: jsdom with Node's `fetch`, and with the abort signals that belong
 * to it. Those of jsdom are no signals to newer versions of Node.
 */
module.exports = class extends Environment {
  constructor(...args) {
    super(...args);
    this.global.AbortController = AbortController;
    this.global.AbortSignal = AbortSignal;
  }
};
