// Verifies one key over HTTP and from memory, in turn, and prints both in microseconds and their ratio.
import http from "node:http";
import { Latchkey } from "./node/index.js";

const { LATCHKEY_URL, LATCHKEY_API_KEY, PRESENTED } = process.env;
const agent = new http.Agent({ keepAlive: true });
const latchkey = new Latchkey();

function ask() {
  return new Promise((resolve, reject) => {
    const body = JSON.stringify({ key: PRESENTED });
    const headers = { "Content-Type": "application/json", "X-Api-Key": LATCHKEY_API_KEY, "Content-Length": body.length };
    http.request(`${LATCHKEY_URL}/v1/keys/verify`, { method: "POST", headers, agent }, (res) => {
      let text = "";
      res.on("data", (part) => { text += part; });
      res.on("end", () => resolve(JSON.parse(text).code));
    }).on("error", reject).end(body);
  });
}

async function local() { return (await latchkey.check(PRESENTED)).code; }

async function time(what, count) {
  const began = performance.now();
  for (let i = 0; i < count; i++) if (await what() !== "valid") throw new Error("not valid");
  return (performance.now() - began) * 1000 / count;
}

while (!(await latchkey.check(PRESENTED)).local) await new Promise((resolve) => { setTimeout(resolve, 100); });
const rounds = [];
for (let i = 0; i < 7; i++) rounds.push([await time(ask, 300), await time(local, 20_000)]);
rounds.sort((a, b) => a[0] / a[1] - b[0] / b[1]);
const [over, near] = rounds[3];
console.log(`Node ${process.version.slice(1)}, node:http | ${over.toFixed(0)} | ${near.toFixed(1)} | ${(over / near).toFixed(0)}`);
await latchkey.close();
agent.destroy();
