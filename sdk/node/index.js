// Verifies the API keys that clients send to your service, next to your code: an answer of
// Latchkey is kept for up to a minute, and dropped as soon as the key changes. The rules
// are in docs/local.md; sdk/conformance holds this file to them.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import net from "node:net";
import { refusal, refusalOf, tokenOf, visible } from "./refusals.js";

const QUIET = 5_000; // nothing is kept of what has changed: another node may hear of it so much later
const SLACK = 2_000; // that a call may take longer than it waits
const LONGEST = 1 << 20; // of an answer, in bytes
const MOST_USES = 500; // in one call

/** There is no answer from Latchkey: refuse with 503. */
export class Unavailable extends Error {}

/** A map that forgets what was used least lately. */
class Kept extends Map {
  constructor(most) {
    super();
    this.most = most;
  }
  find(key) {
    const value = this.get(key);
    if (value) {
      this.delete(key);
      this.set(key, value);
    }
    return value;
  }
  put(key, value) {
    this.delete(key);
    this.set(key, value);
    if (this.size > this.most) this.delete(this.keys().next().value);
  }
}

// Whether an answer is good for all who ask at the same time. Each use of a key with limits
// costs, and a key with allowed_ips depends on the address.
function shared(said) {
  return !said.limits?.length && said.code !== "address_not_allowed" && !said.key?.allowed_ips?.length;
}

// The address as Latchkey takes it, or undefined: a question with anything else is refused.
function address(ip) {
  const plain = ip?.replace(/^::ffff:(?=\d+\.)/i, "").replace(/%.*$/, "");
  return plain && net.isIP(plain) ? plain : undefined;
}

export class Latchkey {
  #o;
  #urls;
  #url = 0;
  #key = "";
  #known;
  #unknown;
  #flights = new Map();
  #asking = 0;
  #queue = [];
  #cursor;
  #last; // when a call for changes was answered
  #failed = false;
  #reset = -Infinity;
  #changed = new Map();
  #uses = new Map();
  #hits = 0;
  #asked = 0;
  #said = -Infinity;
  #closed = false;
  #poll;
  #following;
  #fake;

  constructor(options = {}) {
    const env = globalThis.process?.env ?? {};
    const o = (this.#o = {
      url: env.LATCHKEY_URL, apiKey: env.LATCHKEY_API_KEY, apiKeyFile: env.LATCHKEY_API_KEY_FILE,
      keyword: "Api-Key", header: undefined, environment: undefined,
      grace: 60, wait: 20, timeout: 2, asking: 16, kept: 10_000,
      clock: () => performance.now(), log: console, onOutOfSync: undefined, ...options,
    });
    this.#urls = String(o.url ?? "").split(",").map((one) => one.trim().replace(/\/+$/, ""));
    for (const url of this.#urls) {
      if (!/^https?:\/\/[^/]/.test(url)) throw new TypeError("LATCHKEY_URL must start with https:// or http://");
    }
    if (!(o.grace >= 0 && o.grace <= 600 && o.wait >= 1 && o.wait <= 20)) {
      throw new RangeError("grace must be 0 to 600, and wait 1 to 20 seconds");
    }
    this.clientIP = o.clientIP;
    this.#readKey();
    if (!this.#key) throw new TypeError("this service needs a key: LATCHKEY_API_KEY");
    this.#known = new Kept(o.kept);
    this.#unknown = new Kept(Math.max(1, Math.floor(o.kept / 10)));
    const agent = { keepAlive: true, maxSockets: o.asking + 2 };
    this.agents = { "http:": new http.Agent(agent), "https:": new https.Agent(agent) };
    this.#fake = o.fake;
    if (!this.#fake) this.#following = this.#follow();
  }

  /** A Latchkey for your own tests: it knows these keys by their tokens, and asks no one. */
  static fake(keys, options = {}) {
    const fake = (token) => {
      const found = Object.hasOwn(keys, token) && keys[token];
      if (!found) return { valid: false, code: "not_found", max_age: 0 };
      const key = { id: `key_${token}`, name: token, environment: "live", status: "active", scopes: [], external_id: null, ...found };
      const code = key.status === "active" ? "valid" : key.status;
      return { valid: code === "valid", code, max_age: 0, token_id: token, key };
    };
    return new this({ url: "http://fake", apiKey: "fake", ...options, fake });
  }

  #readKey() {
    this.#key = this.#o.apiKeyFile ? readFileSync(this.#o.apiKeyFile, "utf8").trim() : this.#o.apiKey;
  }

  /** Answers about a token: { code, key, verification, local }. Throws Unavailable if there is no answer. */
  async check(token, { scopes = [], ip } = {}) {
    if (!visible(token)) return { code: "not_found", local: true };
    const hash = createHash("sha256").update(token).digest("base64");
    let answer = this.#find(hash, false);
    const local = Boolean(answer);
    answer ??= await this.#ask(hash, token, ip);
    const { key } = answer.said;
    let { code } = answer.said;
    if (answer.said.valid) {
      if (this.#o.environment && key.environment !== this.#o.environment) code = "wrong_environment";
      else if (!scopes.every((scope) => key.scopes.includes(scope))) code = "insufficient_scope";
      else if (local) this.#use(answer.said.token_id, 1, Date.now());
    }
    return { code, key, verification: answer.said, local };
  }

  /** Judges a request by its headers: { key, verification } or { refusal: { status, headers, body } }. */
  async admit(headers, scopes = [], ip = undefined) {
    const sent = tokenOf(headers, this.#o);
    if (sent.refusal) return { refusal: refusal(sent.refusal) };
    try {
      const result = await this.check(sent.token, { scopes, ip });
      if (result.code === "valid") return result;
      return { ...result, refusal: refusalOf(result, scopes) };
    } catch (error) {
      if (!(error instanceof Unavailable)) throw error;
      return { refusal: refusal("unavailable") };
    }
  }

  stats() {
    const age = this.#last === undefined ? undefined : (this.#now() - this.#last) / 1000;
    return { hits: this.#hits, asked: this.#asked, kept: this.#known.size + this.#unknown.size, inSync: this.#inSync(), syncAge: age };
  }

  /** Stops following changes, and reports the uses that are not reported yet. */
  async close() {
    this.#closed = true;
    this.#poll?.abort();
    await this.#following;
    if (this.#uses.size > 0) await this.#call(0, 1000);
    for (const agent of Object.values(this.agents)) agent.destroy();
  }

  #now() { return this.#o.clock(); }

  #inSync() { return this.#last !== undefined && !this.#failed && this.#now() < this.#last + this.#o.wait * 1000 + SLACK; }

  // A kept answer that is good now. If Latchkey was asked and has not answered, one is good
  // for as long as it is without Latchkey.
  #find(hash, unanswered) {
    const answer = this.#known.find(hash) ?? this.#unknown.find(hash);
    const now = this.#now();
    if (!answer || now >= answer.end) return undefined;
    let good = now < answer.fresh;
    if (!this.#inSync() || unanswered) good = answer.said.valid && now < this.#last + this.#o.grace * 1000;
    if (!good) return undefined;
    this.#hits++;
    return answer;
  }

  // Keeps an answer, unless it may already be untrue.
  #keep(hash, answer) {
    const { said, sent } = answer;
    const since = sent - QUIET;
    if (!(said.max_age > 0) || !this.#inSync() || this.#reset > since || this.#changed.get(said.token_id) > since) return;
    answer.fresh = sent + said.max_age * 1000 * (1 - Math.random() / 10); // not all are asked about together
    answer.end = said.deadline === undefined ? Infinity : sent + said.deadline * 1000;
    (said.valid ? this.#known : this.#unknown).put(hash, answer);
  }

  // Asks once for all who ask at the same time.
  async #ask(hash, token, ip) {
    let flight = this.#flights.get(hash);
    const joined = Boolean(flight);
    if (!joined) {
      flight = this.#question(token, ip).then((answer) => {
        if (answer) this.#keep(hash, answer);
        return answer;
      }).finally(() => {
        if (this.#flights.get(hash) === flight) this.#flights.delete(hash);
      });
      this.#flights.set(hash, flight);
    }
    let answer = await flight;
    if (joined && answer && !shared(answer.said)) answer = await this.#question(token, ip);
    answer ??= this.#find(hash, true);
    if (!answer) throw new Unavailable("no answer from Latchkey");
    return answer;
  }

  async #question(token, ip) {
    if (this.#fake) return { said: this.#fake(token), sent: this.#now() };
    const timeout = AbortSignal.timeout(this.#o.timeout * 1000);
    if (this.#asking >= this.#o.asking) {
      await new Promise((resolve) => { this.#queue.push(resolve); timeout.addEventListener("abort", resolve, { once: true }); });
      if (timeout.aborted) return undefined;
    }
    this.#asking++;
    try {
      this.#asked++;
      const sent = this.#now();
      const said = await this.#post("/v1/keys/verify", { key: token, ip: address(ip) }, timeout);
      const whole = said.key && said.token_id && said.code === "valid";
      if (typeof said.valid !== "boolean" || typeof said.code !== "string" || said.valid && !whole) return undefined;
      return { said, sent };
    } catch {
      return undefined;
    } finally {
      this.#asking--;
      this.#queue.shift()?.();
    }
  }

  async #follow() {
    while (!this.#closed) {
      const pause = await this.#call(this.#o.wait, this.#o.wait * 1000 + SLACK);
      if (pause && !this.#closed) {
        await new Promise((resolve) => {
          const timer = setTimeout(resolve, pause).unref();
          this.#poll = { abort: () => { clearTimeout(timer); resolve(); } };
        });
      }
    }
  }

  // Asks for changes once, and returns how long to wait before the next call.
  async #call(wait, patience) {
    const uses = [...this.#uses.values()].slice(0, MOST_USES);
    for (const use of uses) this.#uses.delete(use.token_id);
    const reported = uses.map((use) => ({ ...use, last_at: new Date(use.last_at).toISOString() }));
    this.#poll = new AbortController();
    const signal = AbortSignal.any([this.#poll.signal, AbortSignal.timeout(patience)]);
    try {
      const said = await this.#post("/v1/keys/sync", { cursor: this.#cursor, wait, uses: reported }, signal, wait > 0);
      if (typeof said.cursor !== "string") throw new Error("the answer is not Latchkey's");
      return this.#hear(said) ? 0 : 100; // whatever answers, it is not asked all the time
    } catch (error) {
      const was = this.#last !== undefined && !this.#failed;
      this.#failed = true;
      for (const use of uses) this.#use(use.token_id, use.count, use.last_at);
      if (was && !this.#closed) {
        this.#o.log.warn(`latchkey: changes of keys are not heard for now: ${error.message}`);
        this.#o.onOutOfSync?.(error);
      }
      return error.status < 500 ? 5000 : 100 + Math.random() * 1000;
    }
  }

  #hear(said) {
    const now = this.#now();
    this.#cursor = said.cursor;
    this.#last = now;
    this.#failed = false;
    for (const [id, at] of this.#changed) if (now - at > 6 * QUIET) this.#changed.delete(id);
    if (!said.reset && said.changed.length === 0) return false;
    for (const id of said.changed) this.#changed.set(id, now);
    if (said.reset) {
      this.#reset = now;
      this.#forget();
    } else {
      for (const [hash, answer] of this.#known) if (said.changed.includes(answer.said.token_id)) this.#known.delete(hash);
    }
    this.#flights.clear(); // a request from now on does not share a question from before
    return true;
  }

  #forget() {
    this.#known.clear();
    this.#unknown.clear();
  }

  #use(id, count, at) {
    const known = this.#uses.get(id);
    if (!known && this.#uses.size >= this.#o.kept) return;
    this.#uses.set(id, { token_id: id, count: count + (known?.count ?? 0), last_at: known && known.last_at > at ? known.last_at : at });
  }

  // Sends a request to Latchkey. If no connection takes it, the next address gets it, once.
  async #post(path, body, signal, idle = false) {
    for (let attempt = 0; ; attempt++) {
      const url = this.#urls[this.#url % this.#urls.length];
      try {
        return await this.#send(new URL(url + path), JSON.stringify(body), signal, idle);
      } catch (error) {
        const again = error.code === "ECONNREFUSED" || error.code === "ECONNRESET" && error.unread;
        if (again || error.status >= 500) this.#url++;
        if (!again || attempt === 1 || signal.aborted) throw error;
      }
    }
  }

  #send(url, body, signal, idle) {
    return new Promise((resolve, reject) => {
      const { request } = url.protocol === "https:" ? https : http;
      const headers = { "Content-Type": "application/json", "X-Api-Key": this.#key, "Content-Length": Buffer.byteLength(body) };
      let unread = true;
      const fail = (error) => reject(Object.assign(error, { unread }));
      const req = request(url, { method: "POST", headers, signal, agent: this.agents[url.protocol] }, (res) => {
        unread = false;
        const parts = [];
        let length = 0;
        res.on("data", (part) => {
          parts.push(part);
          length += part.length;
          if (length > LONGEST) res.destroy(new Error("the answer is not Latchkey's"));
        });
        res.on("error", fail);
        res.on("end", () => {
          const text = Buffer.concat(parts).toString();
          try {
            if (res.statusCode !== 200) throw this.#refused(res, text);
            if (res.headers["content-encoding"]) throw new Error("the answer is not Latchkey's");
            resolve(JSON.parse(text));
          } catch (error) {
            fail(error);
          }
        });
      });
      req.on("error", fail);
      if (idle) req.on("socket", (socket) => socket.unref());
      else req.on("socket", (socket) => socket.ref());
      req.end(body);
    });
  }

  // What an error says. If it is about the key of this service, nothing that is kept is
  // used from now on.
  #refused(res, text) {
    let problem = {};
    try { problem = JSON.parse(text); } catch { /* something else has answered */ }
    const status = res.statusCode;
    if (status === 401 || status === 403) {
      try { this.#readKey(); } catch { /* the last one is all there is */ }
      this.#failed = true;
      this.#last = undefined;
      this.#forget();
      const now = performance.now();
      if (now - this.#said >= 60_000) {
        this.#said = now;
        const id = problem.request_id ?? res.headers["x-request-id"];
        this.#o.log.error(`latchkey: the key of this service is refused: ${status} ${problem.code} (request ${id}): ${JSON.stringify(problem.detail ?? "")}`);
      }
    }
    return Object.assign(new Error(`Latchkey answered ${status} ${problem.code ?? ""}`), { status });
  }
}
