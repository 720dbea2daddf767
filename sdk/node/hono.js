import { Latchkey as Core } from "./index.js";
import { limitHeaders } from "./refusals.js";

export * from "./index.js";

// The Fetch API joins a header that was sent twice with a comma, which no key contains.
function* split(headers) {
  for (const [name, value] of headers) for (const one of value.split(", ")) yield [name, one];
}

export class Latchkey extends Core {
  /** Middleware for Hono. c.get("latchkey") has the key. */
  require(...scopes) {
    return async (c, next) => {
      const result = await this.admit(split(c.req.raw.headers), scopes, this.clientIP?.(c) ?? c.env?.incoming?.socket?.remoteAddress);
      if (result.refusal) return new Response(result.refusal.body, result.refusal);
      c.set("latchkey", result);
      await next();
      for (const [name, value] of Object.entries(limitHeaders(result.verification))) c.header(name, value);
      return undefined;
    };
  }
}
