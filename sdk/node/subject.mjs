// The service that sdk/conformance drives, with the framework that the argument names.
import http from "node:http";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const framework = process.argv[2] ?? "http";
const { Latchkey } = await import(`./${framework === "http" ? "express" : framework}.js`);
const elsewhere = createRequire(`${process.env.MODULES ?? process.cwd()}/`); // where the frameworks are installed
const load = (name) => import(pathToFileURL(elsewhere.resolve(name)).href);
let latchkey, ahead;
const tests = {
  begin(_, options) {
    ahead = 0;
    latchkey = new Latchkey({ ...options, clock: () => performance.now() + ahead });
  },
  advance(query) { ahead += Number(query.get("seconds")) * 1000; },
  stats() { return { in_sync: latchkey.stats().inSync }; },
  close() { return latchkey.close(); },
};
const routes = [["/open", []], ["/documents", ["documents:read"]]];
const services = {
  http() {
    return (req, res) => latchkey.require(...new Map(routes).get(req.url))(req, res, (error) => res.end(error ? String(error) : req.latchkey.key.id));
  },
  async express() {
    const app = (await load("express")).default();
    for (const [path, scopes] of routes) {
      app.get(path, (req, res, next) => latchkey.require(...scopes)(req, res, next), (req, res) => res.end(req.latchkey.key.id));
    }
    return app;
  },
  async fastify() {
    const app = (await load("fastify")).default();
    for (const [path, scopes] of routes) {
      app.get(path, { preHandler: (request, reply) => latchkey.require(...scopes)(request, reply) }, async (request) => request.latchkey.key.id);
    }
    await app.ready();
    return app.routing;
  },
  async hono() {
    const app = new (await load("hono")).Hono();
    for (const [path, scopes] of routes) app.get(path, (c, next) => latchkey.require(...scopes)(c, next), (c) => c.text(c.get("latchkey").key.id));
    return (await load("@hono/node-server")).getRequestListener(app.fetch);
  },
};
const service = await services[framework]();
const server = http.createServer(async (req, res) => {
  const url = new URL(req.url, "http://subject");
  const test = tests[url.pathname.replace("/test/", "")];
  if (!test) return service(req, res);
  let body = "";
  for await (const part of req) body += part;
  return res.end(JSON.stringify(await test(url.searchParams, body && JSON.parse(body)) ?? null));
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
