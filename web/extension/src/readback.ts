// Reading back what a page got. The browser shows extensions no bodies; but a script in
// the page's own frame finds them in the page's cache.

export interface ReadBack {
  body: Uint8Array<ArrayBuffer> | undefined;
  headers: [string, string][];
  /** The cache had no copy, so that the body is of another answer to the same request. */
  again: boolean;
}

const maxBytes = 32 << 20;

/**
 * Reading back is a request like any other to the browser. A fragment, which neither
 * gateways nor caches see, tells it apart; pages cannot guess it.
 */
const secret = crypto.randomUUID();

/** Whether a request is one of those by which bodies are read back. */
export const isOurs = (url: URL): boolean => url.hash === `#${secret}`;

export async function readBack(tab: number, frame: number, url: string, byWorker: boolean): Promise<ReadBack> {
  try {
    const [first] = await chrome.scripting.executeScript({
      target: { tabId: tab, frameIds: [frame] }, injectImmediately: true, func: inPage, args: [url.split("#", 1)[0] + "#" + secret, maxBytes, byWorker],
    });
    const r = first?.result as { base64: string; headers: [string, string][]; again: boolean } | null | undefined;
    if (r) return { body: Uint8Array.from(atob(r.base64), (c) => c.charCodeAt(0)), headers: r.headers, again: r.again };
  } catch {
    // The page is gone, or of another origin.
  }
  return { body: undefined, headers: [], again: false };
}

/** Runs in the page's frame, apart from its scripts; it cannot use anything from outside itself. */
async function inPage(url: string, max: number, byWorker: boolean): Promise<{ base64: string; headers: [string, string][]; again: boolean } | null> {
  if (new URL(url).origin !== location.origin) return null;
  const get = (cache: RequestCache) => fetch(url, { cache, mode: "same-origin", redirect: "error" }).catch(() => undefined);
  let again = byWorker;
  let r = byWorker ? undefined : await get("only-if-cached");
  if (!r || r.status === 504) {
    again = true;
    r = await get("default");
  }
  if (!r) return null;
  const b = new Uint8Array(await r.arrayBuffer());
  if (b.length > max) return null;
  let text = "";
  for (let i = 0; i < b.length; i += 0x8000) text += String.fromCharCode(...b.subarray(i, i + 0x8000));
  return { base64: btoa(text), headers: [...r.headers], again };
}
