import { Latchkey as Core } from "./index.js";
import { limitHeaders } from "./refusals.js";

export * from "./index.js";

/** The headers of a request of node:http, each as it was sent. */
export function* pairs(raw) { for (let i = 0; i < raw.length; i += 2) yield [raw[i], raw[i + 1]]; }

export class Latchkey extends Core {
  /** Middleware for Express and Connect. req.latchkey has the key. */
  require(...scopes) {
    return (req, res, next) => {
      this.admit(pairs(req.rawHeaders), scopes, this.clientIP?.(req) ?? req.ip ?? req.socket.remoteAddress).then((result) => {
        const { refusal } = result;
        if (refusal) {
          res.writeHead(refusal.status, refusal.headers);
          res.end(refusal.body);
          return;
        }
        for (const [name, value] of Object.entries(limitHeaders(result.verification))) res.setHeader(name, value);
        req.latchkey = result;
        next();
      }).catch(next);
    };
  }
}
