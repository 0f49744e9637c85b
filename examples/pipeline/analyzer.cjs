// An activity analyzer in Node.js, with the platform's own SDK: it says what kind of visitor has come.
//
// Where it listens and whom it asks for its properties is said by the environment, as on the platform: PLUGIN_PORT,
// GATEWAY_HOST and GATEWAY_PORT (of sojourn's API), PLUGIN_WORKER_ID and PLUGIN_AUTHENTICATION_TOKEN (worker_id and
// token of its definition).
"use strict";

const { core } = require("@mediarithmics/plugins-nodejs-sdk");

class VisitorAnalyzer extends core.ActivityAnalyzerPlugin {
  // Called once for each analyzer that is defined with this plugin; the SDK keeps what it returns for some minutes.
  async instanceContextBuilder(analyzerId) {
    const context = await super.instanceContextBuilder(analyzerId);
    const source = context.properties.findStringProperty("subscribers_come_from");
    return { ...context, source: source.value.value };
  }

  // Called for each activity.
  async onActivityAnalysis(request, context) {
    const { activity } = request;
    const origin = activity.$origin || {};
    const kind = origin.$source === context.source ? "subscriber" : "passer-by";
    return { status: "ok", data: { ...activity, visitor_kind: kind } };
  }
}

new core.ProductionPluginRunner(new VisitorAnalyzer()).start();
