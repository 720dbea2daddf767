export interface Options {
  /** Where Latchkey is reached; several with commas. Default: LATCHKEY_URL. */
  url?: string;
  /** The key of this service, with the scope keys:verify. Default: LATCHKEY_API_KEY. */
  apiKey?: string;
  /** Read instead, and again when the key is refused. Default: LATCHKEY_API_KEY_FILE. */
  apiKeyFile?: string;
  /** The environment that keys must be of. */
  environment?: "live" | "test";
  /** The only header that keys are read from. */
  header?: string;
  /** The word before a key in Authorization. Default: Api-Key. */
  keyword?: string;
  /** Seconds for which kept answers are good without Latchkey, 0 to 600. Default: 60. */
  grace?: number;
  /** Seconds for which a call for changes waits, 1 to 20. Default: 20. */
  wait?: number;
  /** Seconds for a question. Default: 2. */
  timeout?: number;
  /** Questions at the same time. Default: 16. */
  asking?: number;
  /** Answers that are kept. Default: 10,000. */
  kept?: number;
  /** The address of a client, for keys with allowed_ips. The argument is what the framework passes to middleware. Default: the framework's own. */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  clientIP?: (request: any) => string | undefined;
  clock?: () => number;
  log?: Pick<Console, "warn" | "error">;
  onOutOfSync?: (error: Error) => void;
}

export interface Key {
  id: string;
  name: string;
  prefix: string;
  environment: "live" | "test";
  scopes: string[];
  external_id: string | null;
  metadata: Record<string, string>;
  expires_at: string | null;
  allowed_ips: string[];
}

export interface Result {
  code: string;
  key?: Key;
  verification?: Record<string, unknown>;
  local: boolean;
}

export class Unavailable extends Error {}

export interface Refusal {
  status: number;
  headers: Record<string, string>;
  body: string;
}

export class Latchkey {
  constructor(options?: Options);
  /** A Latchkey for your own tests: it knows these keys by their tokens, and asks no one. */
  static fake(keys: Record<string, Partial<Key> & { status?: "active" | "revoked" | "expired" }>, options?: Options): Latchkey;
  /** Throws Unavailable if there is no answer. ip is the address of the client. */
  check(token: string, question?: { scopes?: string[]; ip?: string }): Promise<Result>;
  /** Judges a request by its headers, pairs of names and values. */
  admit(headers: Iterable<[string, string]>, scopes?: string[], ip?: string): Promise<Result & { refusal?: Refusal }>;
  stats(): { hits: number; asked: number; kept: number; inSync: boolean; syncAge?: number };
  close(): Promise<void>;
  /** Middleware of the framework whose module it comes from. */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  require(...scopes: string[]): any;
}
