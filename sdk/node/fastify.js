import { Latchkey as Core } from "./index.js";
import { limitHeaders } from "./refusals.js";
import { pairs } from "./express.js";

export * from "./index.js";

export class Latchkey extends Core {
  /** A preHandler for Fastify. request.latchkey has the key. */
  require(...scopes) {
    return async (request, reply) => {
      const result = await this.admit(pairs(request.raw.rawHeaders), scopes, this.clientIP?.(request) ?? request.ip);
      if (result.refusal) return reply.code(result.refusal.status).headers(result.refusal.headers).send(result.refusal.body);
      reply.headers(limitHeaders(result.verification));
      request.latchkey = result;
      return undefined;
    };
  }
}
