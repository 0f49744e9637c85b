// An activity analyzer written with the platform's own SDK, which is used as it is published.
//
//   node analyzer_node.cjs <folder of node_modules>
//
// Where it listens and whom it asks is said by the environment, as on the platform: PLUGIN_PORT, GATEWAY_HOST,
// GATEWAY_PORT, PLUGIN_WORKER_ID, PLUGIN_AUTHENTICATION_TOKEN.
//
// It renames `page HP` to `hello`, says in `processed_by` who it is (its property of this name), puts in `label` what its
// data file says of the first event, drops an activity that wishes so, and throws where an activity wishes that.
"use strict";

const { createRequire } = require("node:module");

const sdk = createRequire(`${process.argv[2]}/`)("@mediarithmics/plugins-nodejs-sdk");

class Analyzer extends sdk.core.ActivityAnalyzerPlugin {
  async instanceContextBuilder(id) {
    const context = await super.instanceContextBuilder(id);
    const file = context.properties.findDataFileProperty("labels");
    const labels = file && file.value.uri ? JSON.parse(await this.fetchDataFile(file.value.uri)) : {};
    const wanted = context.properties.findStringProperty("configuration");
    const configuration = wanted ? String(await this.fetchConfigurationFile(wanted.value.value)) : null;
    return { ...context, labels, configuration };
  }

  async onActivityAnalysis(request, context) {
    const { activity } = request;
    if (activity.wish === "drop") return { status: "drop" };
    if (activity.wish === "throw") throw new Error("as it was wished");
    const events = activity.$events.map((event) => ({
      ...event,
      $event_name: event.$event_name === "page HP" ? "hello" : event.$event_name,
    }));
    const more = { processed_by: context.properties.findStringProperty("processed_by").value.value };
    if (events.length && context.labels[events[0].$event_name]) more.label = context.labels[events[0].$event_name];
    if (context.configuration) more.configuration = context.configuration;
    if (activity.wish === "ids") more.$user_identifiers = [];
    return { status: "ok", data: { ...activity, $events: events, ...more } };
  }
}

new sdk.core.ProductionPluginRunner(new Analyzer()).start();
