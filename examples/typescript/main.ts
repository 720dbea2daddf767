// What a third-party backend and a person's tool do with Latchkey, by types from openapi-typescript and the client
// openapi-fetch. The same program is here in three other languages.
import createClient, { type Client, type Middleware } from "openapi-fetch";
import type { components, paths } from "./latchkey.ts";

type Problem = components["schemas"]["Problem"];
type CreatedKey = components["schemas"]["CreatedKey"];

/** Every refusal, thrown, so that the code below reads as what it does. */
class Refusal extends Error {
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(`${problem.status} ${problem.code}: ${problem.detail} (request ${problem.request_id})`);
    this.problem = problem;
  }
}

function latchkey(credentials: Record<string, string>): Client<paths> {
  const refuse: Middleware = {
    async onResponse({ response }) {
      if (!response.ok) throw new Refusal((await response.json()) as Problem);
    },
  };
  const client = createClient<paths>({ baseUrl: env("LATCHKEY_URL"), headers: credentials });
  client.use(refuse);
  return client;
}

function env(name: string): string {
  const value = process.env[name];
  if (value === undefined) throw new Error(`${name} is not set`);
  return value;
}

/** Awaits what must be refused, and returns why. */
async function refusalOf(request: Promise<unknown>): Promise<Problem> {
  try {
    await request;
  } catch (error) {
    if (error instanceof Refusal) return error.problem;
    throw error;
  }
  throw new Error("This should have been refused.");
}

/** With every refusal thrown, an answer has its data. */
function data<T>(answer: { data?: T }): T {
  return answer.data as T;
}

const backend = latchkey({ "X-Api-Key": env("LATCHKEY_API_KEY") });
const session = data(
  await latchkey({}).POST("/v1/auth/login", {
    body: { email: env("LATCHKEY_EMAIL"), password: env("LATCHKEY_PASSWORD") },
  }),
);
const person = latchkey({ Authorization: `Bearer ${session.access_token}` });

// A key knows its project.
const project = data(await backend.GET("/v1/project"));
const path = { project_id: project.id };
console.log(`The key belongs to the project ${project.name}.`);

// A person creates keys. Each token is there this once.
let created!: CreatedKey;
for (const name of ["nightly-export", "invoices", "customer-portal"]) {
  created = data(
    await person.POST("/v1/projects/{project_id}/keys", {
      params: { path },
      body: { name, scopes: ["documents:read"], external_id: "customer-4711" },
    }),
  );
}
console.log(`${session.user.name} created the key ${created.key.name}.`);

// A service asks whether a token that was presented to it is good.
for (const scope of ["documents:read", "documents:write"]) {
  const { code } = data(await backend.POST("/v1/keys/verify", { body: { key: created.token, scopes: [scope] } }));
  console.log(`Asked for ${scope}, the answer is ${code}.`);
}

// A list comes in pages; next_cursor is null on the last one.
const names: string[] = [];
let cursor: string | null = null;
do {
  const page: components["schemas"]["KeyList"] = data(
    await person.GET("/v1/projects/{project_id}/keys", {
      params: { path, query: { external_id: "customer-4711", limit: 2, ...(cursor !== null && { cursor }) } },
    }),
  );
  names.push(...page.items.map((key) => key.name));
  cursor = page.next_cursor;
} while (cursor !== null);
console.log(`Page by page, customer-4711 has the keys ${names.join(", ")}.`);

// Refusals are typed errors.
const absent = await refusalOf(
  person.GET("/v1/projects/{project_id}/keys/{key_id}", {
    params: { path: { ...path, key_id: "key_00000000000000000000000000" } },
  }),
);
console.log(`A key that does not exist: ${absent.status} ${absent.code}.`);
const nameless = await refusalOf(person.POST("/v1/projects/{project_id}/keys", { params: { path }, body: { name: "" } }));
console.log(`A key without a name: ${nameless.status} ${nameless.code} at ${nameless.errors?.[0]?.pointer}.`);

// A rotation whose answer was lost is asked for again under the same Idempotency-Key.
const once = { "Idempotency-Key": crypto.randomUUID() };
const tokens: string[] = [];
for (let i = 0; i < 2; i++) {
  const rotated = data(
    await person.POST("/v1/projects/{project_id}/keys/{key_id}/rotate", {
      params: { path: { ...path, key_id: created.key.id }, header: once },
      body: { grace_seconds: 3600 },
    }),
  );
  tokens.push(rotated.token);
}
if (tokens[0] === tokens[1] && tokens[0] !== created.token) {
  console.log("Rotated twice with one Idempotency-Key, the key has one new token.");
}
