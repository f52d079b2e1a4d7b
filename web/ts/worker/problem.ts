// The worker's own answer when there is none that may be shown.

import style from "../../../gateway/page/style.css";
import type { Problem } from "../shared/report.ts";

/** Puts whatever was thrown into the form of a problem. */
export function problemOf(thrown: unknown): Problem {
  const p = thrown as Partial<Problem> | null;
  if (typeof p?.status === "number" && typeof p.title === "string") return p as Problem;
  return {
    status: 503,
    title: "Light client not available",
    text: "The light client in this browser could not answer. Try again; if that does not help, clear the data of this site.",
    reason: thrown instanceof Error ? thrown.message : String(thrown),
  };
}

/** A page for people, a line of text for everything else. */
export function problemResponse(p: Problem, canister: string, isPage: boolean): Response {
  const headers = { "content-type": "text/plain; charset=utf-8", "cache-control": "no-store", "x-content-type-options": "nosniff" };
  if (!isPage) return new Response(`${p.title}: ${p.reason}\n`, { status: p.status, headers });
  return new Response(pageOf(p, canister), {
    status: p.status,
    headers: {
      ...headers,
      "content-type": "text/html; charset=utf-8",
      "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'",
    },
  });
}

const pageOf = (p: Problem, canister: string): string => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escape(p.title)}</title>
<style>${style}</style>
</head>
<body data-page="error">
<header><p class="brand">Portico</p></header>
<main>
<h1>${escape(p.title)}</h1>
<p class="lead">${escape(p.text)}</p>
${p.check ? `<p>The check that failed: <span class="badge bad">${escape(p.check)}</span></p>` : ""}
${p.next ? `<h2>What you can do</h2><p>${escape(p.next)}</p>` : ""}
<p class="actions"><a class="button" href="">Try again</a> <a href="/_portico/verify">What was verified on this site</a></p>
<h2>Details</h2>
<p class="reason">${escape(p.reason)}</p>
<dl>
<dt>Canister</dt>
<dd><code>${escape(canister)}</code></dd>
<dt>Status</dt>
<dd>${p.status}</dd>
<dt>Found by</dt>
<dd>the light client in your browser</dd>
</dl>
</main>
</body>
</html>
`;

const entities: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

const escape = (s: string): string => s.replace(/[&<>"']/g, (c) => entities[c] ?? c);
