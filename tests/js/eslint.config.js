"use strict";

// Of our own JavaScript, wherever it stands. `npm run lint` starts it in the root of the repository.

const RULES = {
  "array-callback-return": "error",
  "block-scoped-var": "error",
  "consistent-this": "error",
  "default-case-last": "error",
  eqeqeq: "error",
  "for-direction": "error",
  "getter-return": "error",
  "guard-for-in": "off",
  "no-alert": "error",
  "no-caller": "error",
  "no-console": "error",
  "no-cond-assign": "error",
  "no-const-assign": "error",
  "no-constant-condition": "error",
  "no-debugger": "error",
  "no-dupe-args": "error",
  "no-dupe-else-if": "error",
  "no-dupe-keys": "error",
  "no-duplicate-case": "error",
  "no-empty": "error",
  "no-eval": "error",
  "no-ex-assign": "error",
  "no-extend-native": "error",
  "no-fallthrough": "error",
  "no-func-assign": "error",
  "no-implicit-globals": "error",
  "no-implied-eval": "error",
  "no-inner-declarations": "error",
  "no-invalid-regexp": "error",
  "no-loop-func": "error",
  "no-new-func": "error",
  "no-proto": "error",
  "no-redeclare": "error",
  "no-self-assign": "error",
  "no-self-compare": "error",
  "no-shadow": "error",
  "no-sparse-arrays": "error",
  "no-throw-literal": "error",
  "no-undef": "error",
  "no-unexpected-multiline": "error",
  "no-unreachable": "error",
  "no-unsafe-finally": "error",
  "no-unsafe-negation": "error",
  "no-unused-expressions": "error",
  "no-unused-vars": ["error", { caughtErrors: "none" }],
  "no-use-before-define": ["error", { functions: false, variables: false }],
  "no-useless-escape": "error",
  "no-var": "error",
  "prefer-const": "error",
  "use-isnan": "error",
  "valid-typeof": "error",
};

function globals(names) {
  return Object.fromEntries(names.split(" ").map((name) => [name, "readonly"]));
}

module.exports = [
  { ignores: ["**/node_modules/**"] },
  { linterOptions: { reportUnusedDisableDirectives: "error" } },
  {
    // Whatever is no ES5 is an error here: an old browser would report it as the page's.
    files: ["gateway/collect/tag/tag.js"],
    languageOptions: {
      ecmaVersion: 5,
      sourceType: "script",
      globals: globals("window AbortController Promise Uint16Array clearTimeout setTimeout"),
    },
    rules: { ...RULES, "no-var": "off", "prefer-const": "off", "block-scoped-var": "off" },
  },
  {
    files: ["gateway/collect/tag/demo.js"],
    languageOptions: {
      ecmaVersion: 2022,
      sourceType: "script",
      globals: globals("window document history location navigator"),
    },
    rules: { ...RULES, "no-var": "off" },
  },
  {
    files: ["tests/js/**/*.js"],
    languageOptions: {
      ecmaVersion: 2023,
      sourceType: "commonjs",
      globals: globals("require module process __dirname setImmediate URL"),
    },
    rules: { ...RULES, "no-implicit-globals": "off" },
  },
  {
    files: ["examples/**/*.cjs"],
    languageOptions: { ecmaVersion: 2023, sourceType: "commonjs", globals: globals("require module process") },
    rules: { ...RULES, "no-implicit-globals": "off" },
  },
];
