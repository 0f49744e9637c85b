// Makes @attraqt/activity call what it is told to, in order, and prints what each `send` came to.
//
//   node attraqt_node.cjs <folder of node_modules> <address> <tracker key> <JSON: [[method, argument...], ...]>
//
// The address is set as the library's own property: its regions are names of its maker's servers.
"use strict";

const { createRequire } = require("node:module");

const [folder, address, trackerKey, calls] = process.argv.slice(2);
const { activity } = createRequire(`${folder}/`)("@attraqt/activity");

async function main() {
  activity.init({ trackerKey });
  activity.apiUrl = `${address}/${trackerKey}`;
  const results = [];
  for (const [method, ...args] of JSON.parse(calls)) {
    try {
      const result = await activity[method](...args);
      if (method === "send") results.push(result);
    } catch (error) {
      results.push({ error: `${error.name}: ${error.message}` });
    }
  }
  console.log(JSON.stringify(results));
}

main();
