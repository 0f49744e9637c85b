"use strict";

// @segment/analytics-node: the same six calls as of the Python clients.

const path = require("node:path");

const modules = path.join(__dirname, "..", "..", "js", "node_modules");
const { Analytics } = require(path.join(modules, "@segment", "analytics-node"));

const [host, writeKey, userId] = process.argv.slice(2);
const errors = [];

async function main() {
  const client = new Analytics({ host, writeKey, maxRetries: 4 });
  client.on("error", (error) => errors.push([String(error.reason), 1]));
  const campaign = { name: "spring", source: "newsletter", medium: "email" };
  client.track({
    userId,
    event: "Order Completed",
    properties: { revenue: 12.5, products: [{ product_id: "p1", quantity: 2, price: 6.25 }] },
    context: { campaign, ip: "198.51.100.7" },
  });
  client.identify({ userId, traits: { email: `${userId}@Shop.test`, plan: "pro" } });
  client.page({ userId, category: "Shop", name: "Home", properties: { url: "https://shop.test/", title: "Home" } });
  client.screen({ userId, category: "Shop", name: "Start" });
  client.group({ userId, groupId: "g1", traits: { seats: 5 } });
  client.alias({ userId, previousId: `${userId}-before` });
  await client.closeAndFlush({ timeout: 20_000 });
  console.log(JSON.stringify(errors));
}

main();
