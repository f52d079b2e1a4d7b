// The last loads, for the verification page. They outlive the worker in the cache
// that it shares with the pages of its origin: a page could change what it finds
// there, but not what is verified.

import type { Load } from "../shared/report.ts";
import { cacheName } from "./client.ts";

const place = "/_portico/journal";
const kept = 50;

let loads: Promise<Load[]> | undefined;
let saving: Promise<void> = Promise.resolve();
let dirty = false;

/** Newest first. */
export function journal(): Promise<Load[]> {
  loads ??= read();
  return loads;
}

/** Keeps a load; the promise is done once it is saved. */
export async function record(load: Load): Promise<void> {
  const all = await journal();
  all.unshift(load);
  all.length = Math.min(all.length, kept);
  if (dirty) return saving;
  dirty = true;
  saving = saving.then(save);
  return saving;
}

async function read(): Promise<Load[]> {
  try {
    const saved = await (await caches.open(cacheName)).match(place);
    return saved ? ((await saved.json()) as Load[]) : [];
  } catch {
    return [];
  }
}

async function save(): Promise<void> {
  const all = await journal();
  dirty = false;
  await (await caches.open(cacheName)).put(place, new Response(JSON.stringify(all))).catch(() => {});
}
