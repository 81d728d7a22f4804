const jestJupyterLab = require('@jupyterlab/testutils/lib/jest-config');

// Published as ES modules, which jest cannot load as they are.
const esModules = [
  '@codemirror',
  '@jupyter/(ydoc|web-components|react-components)',
  '@jupyterlab/',
  '@microsoft',
  '@rjsf/',
  'exenv-es6',
  'lib0',
  'nanoid',
  'uplot',
  'vscode-ws-jsonrpc',
  'y-protocols',
  'y-websocket',
  'yjs'
].join('|');

const base = jestJupyterLab(__dirname);

module.exports = {
  ...base,
  testEnvironment: '<rootDir>/jest.environment.js',
  automock: false,
  collectCoverage: false,
  testRegex: 'src/.*/?__tests__/.*\\.(test|spec)\\.tsx?$',
  modulePathIgnorePatterns: [
    '<rootDir>/.venv',
    '<rootDir>/kpl_lab',
    '<rootDir>/lib'
  ],
  // Types are checked by `npm run types:check`, once for all files.
  transform: {
    ...base.transform,
    '^.+\\.tsx?$': ['ts-jest', { tsconfig: 'tsconfig.test.json' }]
  },
  transformIgnorePatterns: [`/node_modules/(?!${esModules}).+`]
};
