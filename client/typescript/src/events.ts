/** Events of a page's shopper, sent to Sightline with their consent. */

/** Types of events. */
export type PageEventType =
  | "impression"
  | "view"
  | "click"
  | "add_to_cart"
  | "purchase"
  | "rating"
  | "hide"
  | "unhide"
  | "search";

/** Fields of an event; see sightline.common.v1.Event. */
export interface PageEvent {
  productId?: string;
  /** Token of the answer that showed the product. Default: that of the last click on the product in this tab. */
  attributionToken?: string;
  /** Place in the list, from 1. */
  position?: number;
  quantity?: number;
  value?: number;
  /** Price paid for one unit: `{ currencyCode: "EUR", units: "12", nanos: 500000000 }`. */
  unitPrice?: { currencyCode: string; units?: string; nanos?: number };
  orderId?: string;
  scene?: string;
  query?: string;
  sessionId?: string;
  /**
   * Id of the event. Default: a random one; for clicks and impressions with a token, and for purchases with an order,
   * one made of these and the product, so that a page that is shown again adds nothing.
   */
  eventId?: string;
}

/** A visitor whom the gateway created. At a login your server gives both to MergeShopper. */
export interface PageVisitor {
  visitorId: string;
  visitorProof: string;
  /** When the proof expires. A new visitor is created then. */
  expireTime: string;
}

/** Settings of a page's events. */
export interface EventsOptions {
  /** URL of the gateway's HTTP server. */
  address: string;
  /** Key with the role `events` alone: every visitor can read it. */
  key?: string;
  /** Default: "default". */
  catalog?: string;
  /** The shopper, if your server knows them. Default: a visitor whom the gateway creates. */
  shopper?: { userId: string } | { visitorId: string };
  /** Called with what the gateway says about events that it rejects, and with the causes of failed attempts. */
  onError?: (error: unknown) => void;
}

/** Events of a page. */
export interface SightlineEvents {
  /** Say whether the shopper consents. Before that nothing is kept or sent; false stops, and forgets all. */
  consent(given: boolean): void;
  /** Take an event; it is dropped without consent. */
  send(type: PageEventType, event?: PageEvent): void;
  /** Send what waits, now. */
  flush(): Promise<void>;
  /** Return the visitor; undefined before the gateway created one. */
  visitor(): PageVisitor | undefined;
}

type Sent = Omit<PageEvent, "eventId"> & { eventId: string; type: string; eventTime?: string; shopper?: object; visitorProof?: string | undefined };
type Timer = ReturnType<typeof setTimeout>;

const NAME = "sightline.1";
/** Events that wait at most; the oldest are dropped. */
const MOST = 300;
/** Products whose token is remembered. */
const MOST_TOKENS = 50;
const BATCH = 30;
/** Characters of a batch: at most 60 kB of UTF-8. A page that ends can send 64 KiB. */
const BATCH_CHARACTERS = 2e4;
const PAUSE_MS = 1e3;
const LONGEST_MS = 6e4;
/** Statuses of requests whose content is rejected: 400 and 413. */
const REJECTED = /400|413/;

/** Return the events of this page. It does nothing before `consent(true)`. */
export function sightlineEvents(options: EventsOptions): SightlineEvents {
  const { key, onError } = options;
  const url = `${options.address}/v1/catalogs/${options.catalog ?? "default"}/`;
  /** Aborts all requests; undefined without consent. */
  let controller: AbortController | undefined;
  let queue: Sent[] = [];
  let tokens: [productId: string, token: string][] = [];
  let visitor: PageVisitor | undefined;
  let creating: Promise<PageVisitor> | undefined;
  let timer: Timer | undefined;
  let failures = 0;
  /** Events of a rejected batch that are sent one by one. */
  let singly = 0;
  const sending = new Set<Sent>();

  const save = (): void => write("sessionStorage", [queue, tokens]);
  const plan = (milliseconds: number): Timer => (timer ??= setTimeout(flush, milliseconds));
  const cancel = (): void => (timer = clearTimeout(timer) as undefined);

  const post = (path: string, body: object, { signal }: AbortController): Promise<Response> =>
    fetch(url + path, {
      method: "POST",
      headers: { "content-type": "application/json", ...(key && { authorization: "Bearer " + key }) },
      body: JSON.stringify(body),
      keepalive: true,
      credentials: "omit",
      signal,
    });

  const create = async (consented: AbortController): Promise<PageVisitor> => {
    const response = await post("visitors", {}, consented);
    if (!response.ok) throw await response.text();
    const made = (await response.json()) as PageVisitor;
    if (controller == consented) write("localStorage", (visitor = made));
    return made;
  };

  /** Return the next events that are not being sent. */
  const take = (): Sent[] => {
    let batch = queue.filter((event) => !sending.has(event)).slice(0, singly ? 1 : BATCH);
    while (batch[1] && JSON.stringify(batch).length > BATCH_CHARACTERS) batch = batch.slice(0, batch.length >> 1);
    return batch;
  };

  const flush = async (): Promise<void> => {
    cancel();
    const consented = controller;
    const batch = take();
    if (!consented || !batch[0]) return;
    batch.forEach((event) => sending.add(event));
    let kept = batch;
    let error: unknown;
    let wait = 0;
    try {
      const shopper =
        options.shopper ?? { visitorId: (visitor ?? (await (creating ??= create(consented)))).visitorId };
      const visitorProof = options.shopper ? undefined : visitor?.visitorProof;
      batch.forEach((event) => {
        event.shopper ??= shopper;
        event.visitorProof ??= visitorProof;
      });
      const response = await post("events:write", { events: batch }, consented);
      wait = +(response.headers.get("retry-after") ?? 0);
      const answer = await response.json().catch(() => response.status);
      if (response.ok) {
        kept = batch.filter((event, at) => stays(event, answer.statuses?.[at]));
        failures = 0;
      } else if (!REJECTED.test(`${response.status}`)) {
        error = answer;
      } else if (batch[1]) {
        singly = batch.length + 1;
      } else {
        kept = [];
        onError?.(answer);
      }
    } catch (thrown) {
      error = thrown;
    }
    if (controller != consented) return;
    batch.forEach((event) => sending.delete(event));
    queue = queue.filter((event) => !batch.includes(event) || kept.includes(event));
    if (singly) singly--;
    save();
    if (error) {
      onError?.(error);
      creating = undefined;
      cancel();
      plan(Math.max(wait * 1e3, Math.min(LONGEST_MS, PAUSE_MS * 2 ** failures++) * (0.5 + Math.random())));
    } else if (queue[0]) {
      plan(0);
    }
  };

  /** Return whether an event is sent again: without its time, if the clock of this machine is ahead. */
  const stays = (event: Sent, status: { code?: number } = {}): boolean => {
    const text = JSON.stringify(status);
    if (/"EVENT_TIME_INVALID/.test(text) && event.eventTime) return delete event.eventTime;
    if (status.code && !/"EVENT_CONFLICT/.test(text)) onError?.(status);
    return false;
  };

  return {
    consent(given) {
      if (!given) {
        controller?.abort();
        cancel();
        controller = visitor = creating = undefined;
        queue = [];
        tokens = [];
        sending.clear();
        write("sessionStorage");
        write("localStorage");
      } else if (!controller) {
        controller = new AbortController();
        const { signal } = controller;
        [queue, tokens] = read("sessionStorage") ?? [[], []];
        visitor = read("localStorage");
        if (new Date(visitor?.expireTime ?? 0) < new Date()) visitor = undefined;
        addEventListener("pagehide", flush, { signal });
        addEventListener("visibilitychange", () => document.hidden && flush(), { signal });
        if (queue[0]) plan(0);
      }
    },
    send(type, given = {}) {
      if (!controller) return;
      const productId = given.productId && `${given.productId}`;
      const attributionToken = given.attributionToken ?? tokens.find(([product]) => product == productId)?.[1];
      const once = type == "purchase" ? given.orderId : /^(cl|im)/.test(type) && attributionToken;
      const event = {
        ...given,
        productId,
        attributionToken,
        eventId: given.eventId ?? (once ? digest([type, once, productId]) : random()),
        type: "EVENT_TYPE_" + type.toUpperCase(),
        eventTime: new Date().toISOString(),
      } as Sent;
      // A browser may not send it when the page ends, and it would hold up the others.
      if (JSON.stringify(event).length > BATCH_CHARACTERS) return onError?.("the event is too large");
      if (type == "click" && productId && attributionToken) {
        tokens = [[productId, attributionToken] as [string, string], ...tokens.filter(([product]) => product != productId)];
        tokens = tokens.slice(0, MOST_TOKENS);
      }
      queue = [...queue, event].slice(-MOST);
      save();
      plan(visitor || options.shopper ? PAUSE_MS : 0);
    },
    flush,
    visitor: () => visitor,
  };
}

type StorageName = "localStorage" | "sessionStorage";

/** Store a value, or remove it; a browser may allow neither. */
function write(storage: StorageName, value?: unknown): void {
  try {
    if (value) self[storage].setItem(NAME, JSON.stringify(value));
    else self[storage].removeItem(NAME);
  } catch {}
}

/** Return the stored value; undefined if there is none. */
function read(storage: StorageName): any {
  try {
    return JSON.parse(self[storage].getItem(NAME)!) ?? undefined;
  } catch {}
}

function random(): string {
  return crypto.getRandomValues(new Uint32Array(4)).join("-");
}

/** Return 64 bits of a hash: two of 32 bits, like FNV-1a with other factors. */
function digest(parts: unknown[]): string {
  let a = 1;
  let b = 2;
  for (const character of JSON.stringify(parts)) {
    const code = character.codePointAt(0)!;
    a = Math.imul(a ^ code, 2654435761);
    b = Math.imul(b ^ code, 1597334677);
    a ^= a >>> 15;
    b ^= b >>> 13;
  }
  return (a >>> 0) + "-" + (b >>> 0);
}
