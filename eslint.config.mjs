import js from '@eslint/js';
import jupyterPlugin from '@jupyter/eslint-plugin';
import { defineConfig } from 'eslint/config';
import prettierRecommended from 'eslint-plugin-prettier/recommended';
import reactHooks from 'eslint-plugin-react-hooks';
import globals from 'globals';
import tseslint from 'typescript-eslint';

export default defineConfig([
  {
    // The API's types are generated; the rest is built or somebody else's.
    ignores: [
      '.kpl',
      '.venv',
      'coverage',
      'docs',
      'kpl_lab/**/*.js',
      'kpl_lab/labextension',
      'lib',
      'node_modules',
      'src/api/types.ts'
    ]
  },
  {
    files: ['**/*.js', '**/*.mjs', '**/*.ts', '**/*.tsx'],
    extends: [js.configs.recommended, tseslint.configs.recommended]
  },
  { plugins: { jupyter: jupyterPlugin } },
  jupyterPlugin.configs.recommended,
  {
    files: ['src/**/*.ts', 'src/**/*.tsx'],
    plugins: { 'react-hooks': reactHooks },
    languageOptions: {
      globals: globals.browser,
      parserOptions: {
        project: 'tsconfig.test.json',
        tsconfigRootDir: import.meta.dirname
      }
    },
    rules: {
      ...reactHooks.configs.recommended.rules,
      '@typescript-eslint/naming-convention': [
        'error',
        {
          selector: 'interface',
          format: ['PascalCase'],
          custom: { regex: '^I[A-Z]', match: true }
        }
      ],
      '@typescript-eslint/no-unused-vars': ['error', { args: 'none' }],
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-floating-promises': 'error',
      // Options and private helpers live in namespaces, as in JupyterLab itself.
      '@typescript-eslint/no-namespace': 'off',
      // What activation itself needs: the client, command registrations and their icons. The API's functions,
      // and the requests that they load, are little beside that.
      'jupyter/prefer-lazy-imports': [
        'error',
        {
          ignoreImports: [
            '../api/*',
            '../client',
            '../icons',
            '../request',
            './*commands'
          ]
        }
      ],
      curly: ['error', 'all'],
      eqeqeq: 'error',
      'max-lines': ['error', { max: 400, skipComments: true }],
      'prefer-arrow-callback': 'error'
    }
  },
  {
    files: ['*.js'],
    languageOptions: { globals: globals.node, sourceType: 'commonjs' },
    rules: { '@typescript-eslint/no-require-imports': 'off' }
  },
  prettierRecommended
]);
