// What a gateway promises, row by row, asked by clients that know nothing of it: curl,
// and Node's fetch. The table is printed at the end.
//
//   node --test gateway/table.test.mjs

import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { request as rawRequest } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const root = fileURLToPath(new URL("..", import.meta.url));
const run = promisify(execFile);
const lines = [];
let server, site, folder;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "portico-table-"));
  const program = join(folder, "tableserver");
  await run("go", ["build", "-o", program, "./gateway/tableserver"], { cwd: root });
  server = spawn(program, [folder], { stdio: ["pipe", "pipe", "inherit"] });
  for await (const line of createInterface({ input: server.stdout })) {
    site = JSON.parse(line);
    break;
  }
});

after(async () => {
  server?.stdin.end();
  await rm(folder, { recursive: true, force: true });
  const widths = [0, 1, 2].map((i) => Math.max(...lines.map((l) => l[i].length)));
  console.log(lines.map((l) => l.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join("  ").trimEnd()).join("\n"));
  console.log(`${lines.filter((l) => l[3] === "pass").length} of ${lines.length} pass`);
});

/** Does to the replica what a test needs. */
const steer = (path) => fetch(`http://127.0.0.1:${site.ports.steer}${path}`, { method: "POST" });
const asked = async () => (await fetch(`http://127.0.0.1:${site.ports.steer}/asked`)).json();

/** Asks with curl: "METHOD http://host/path". All hosts are this machine. */
async function curl(what, { headers = [], body, port = "main", more = [] } = {}) {
  const [method, url] = what.split(" ");
  const how = method === "HEAD" ? ["--head"] : ["--request", method];
  const args = ["--silent", "--show-error", "--include", "--path-as-is", "--max-time", "30", "--connect-to", `::127.0.0.1:${site.ports[port]}`, ...how, ...more];
  for (const h of headers) args.push("--header", h);
  if (body !== undefined) args.push("--data-binary", "@-");
  const { stdout } = await new Promise((resolve, reject) => {
    const child = execFile("curl", [...args, url], { encoding: "latin1", maxBuffer: 1 << 26 }, (e, stdout, stderr) =>
      e ? reject(new Error(`${e.message}\n${stderr}`)) : resolve({ stdout }));
    child.stdin.on("error", () => {}); // curl may have ended before it was given a body that it does not want
    child.stdin.end(body ?? "");
  });
  let rest = stdout.replace(/^HTTP\/1.1 100 [^]*?\r\n\r\n/, "");
  const end = rest.indexOf("\r\n\r\n");
  const [status, ...head] = rest.slice(0, end).split("\r\n");
  const answer = { status: Number(status.split(" ")[1]), protocol: status.split(" ")[0], headers: {}, body: rest.slice(end + 4) };
  for (const h of head) {
    const at = h.indexOf(":");
    answer.headers[h.slice(0, at).toLowerCase()] = h.slice(at + 1).trim();
  }
  return answer;
}

/**
 * One row. Expected is a status, or a status and what else must be so: headers by name
 * (a pattern, or null for none), and body (a pattern).
 */
function row(name, what, expected, options = {}) {
  const { status, body, ...headers } = typeof expected === "number" ? { status: expected } : expected;
  test(`${name}: ${what}`, async () => {
    const request = typeof what === "function" ? what() : what.replace(/\{(\w+)\}/g, (_, key) => site[key]);
    await options.first?.();
    let got, wrong = [];
    try {
      got = await (options.client ?? curl)(request, options);
      if (got.status !== status) wrong.push(`status ${got.status}`);
      for (const [h, want] of Object.entries(headers)) {
        const value = got.headers[h];
        if (want === null ? value !== undefined : !new RegExp(want).test(value ?? "")) wrong.push(`${h}: ${value}`);
      }
      if (body !== undefined && !new RegExp(body).test(got.body)) wrong.push(`body ${JSON.stringify(got.body.slice(0, 80))}`);
      const complaint = await options.then?.(got);
      if (complaint) wrong.push(complaint);
    } catch (e) {
      wrong.push(e.message.split("\n").at(-2) ?? e.message);
    }
    const short = request.replaceAll(site.web, "<web>").slice(0, 78) + (options.headers ? ` +${options.headers.map((h) => h.split(":")[0]).join(",")}`.slice(0, 40) : "");
    const want = [status, ...Object.entries(headers).map(([h, v]) => (v === null ? `no ${h}` : h)), ...(body === undefined ? [] : ["body"])].join(" ");
    lines.push([name, short, `want ${want}, got ${wrong.length ? wrong.join("; ") : got.status}`, wrong.length ? "FAIL" : "pass"]);
    assert.deepEqual(wrong, []);
  });
}

/** Node's fetch, for hosts that are addresses. */
async function viaFetch(what, { headers = [], body } = {}) {
  const [method, url] = what.split(" ");
  const r = await fetch(url.replace("PORT", site.ports.main), { method, body, redirect: "manual", headers: Object.fromEntries(headers.map((h) => h.split(": "))) });
  return { status: r.status, headers: Object.fromEntries(r.headers), body: await r.text() };
}

const page = "A certified page";
const web = "http://{web}.localhost";

describe("host to canister", () => {
  row("base domain", "GET http://localhost/", { status: 200, "content-type": "text/html", "x-ic-canister-id": null });
  row("canister", `GET ${web}/`, { status: 200, body: page, "x-motto": "certified too" });
  row("canister with a port, in capitals, with a dot", "GET http://{web}.LOCALHOST.:8000/", { status: 200, body: page });
  row("prefix", "GET http://branch--{web}.localhost/", { status: 200, body: page });
  row("raw", "GET http://{web}.raw.localhost/", { status: 200, body: page });
  row("raw with prefix", "GET http://branch--{web}.raw.localhost/", { status: 200, body: page });
  row("deeper", `GET http://a.{web}.localhost/`, { status: 400, body: "Unknown domain" });
  row("second domain", "GET http://{web}.gateway.test/", { status: 200, body: page });
  row("alias", "GET http://shop.localhost/", { status: 200, body: page, "x-ic-canister-id": "." });
  row("unknown domain", "GET http://example.org/", { status: 400, body: "client_unknown_domain" }, { headers: ["Accept: application/json"] });
  row("no canister", "GET http://nonsense.localhost/", { status: 400, body: "canister_id_incorrect" }, { headers: ["Accept: application/json"] });
  row("no host that there could be", "GET http://localhost/", { status: 400, body: "client_malformed_request" }, { headers: ["Host: a..b", "Accept: application/json"] });
  row("no host", "GET http://localhost/", 400, { headers: ["Host:"] });
});

describe("custom domains", () => {
  row("unknown at first", "GET http://mine.example/", 400);
  row("from a file, at once", "GET http://mine.example/", { status: 200, body: page }, {
    first: async () => writeFile(site.aliases, `shop.localhost:${site.web}\nmine.example:${site.web}\n`),
  });
  row("serves the API as well", "GET http://mine.example/api/v2/status", { status: 200, "content-type": "application/cbor" });
  row("taken from the file, at once", "GET http://mine.example/", 400, { first: async () => writeFile(site.aliases, `shop.localhost:${site.web}\n`) });
  row("a torn write changes nothing", "GET http://shop.localhost/", 200, { first: async () => writeFile(site.aliases, "") });
  row("the file is whole again", "GET http://shop.localhost/", 200, { first: async () => writeFile(site.aliases, `shop.localhost:${site.web}\n`) });
  row("validate", "GET http://localhost/custom-domains/v1/registered.example/validate", { status: 200, body: '"validation_status": "valid"' });
  row("validate: not in DNS", "GET http://localhost/custom-domains/v1/other.example/validate", { status: 400, body: "missing DNS TXT record" });
  row("validate: not listed by the canister", "GET http://localhost/custom-domains/v1/unlisted.example/validate", { status: 400, body: "domain is missing from canister" });
  row("register", "POST http://localhost/custom-domains/v1/registered.example", { status: 202, body: '"canister_id"' });
  row("registered", "GET http://localhost/custom-domains/v1/registered.example", { status: 200, body: '"registration_status": "registered"' });
  row("registered twice", "POST http://localhost/custom-domains/v1/registered.example", 409);
  row("is served", "GET http://registered.example/", { status: 200, body: page });
  row("update", "PATCH http://localhost/custom-domains/v1/registered.example", 202);
  row("not deleted while DNS names it", "DELETE http://localhost/custom-domains/v1/registered.example", { status: 400, body: "existing DNS TXT" });
  row("not at other hosts", `GET ${web}/custom-domains/v1/registered.example`, { status: 404, body: "nothing here" });
});

describe("?canisterId= and referer", () => {
  row("parameter on an address", "GET http://127.0.0.1:PORT/?canisterId={web}", { status: 200, body: page }, { client: viaFetch });
  row("parameter on the base domain", "GET http://localhost/?canisterId={web}", { status: 200, body: page });
  row("referer", () => "GET http://localhost/style", { status: 200, body: "color: red" }, {
    get headers() { return [`Referer: http://localhost/?canisterId=${site.web}`]; },
  });
  row("referer of another site", "GET http://localhost/style", 400, { get headers() { return [`Referer: http://evil.example/?canisterId=${site.web}`]; } });
  row("the host goes first", `GET ${web}/?canisterId=aaaaa-aa`, { status: 200, body: page });
  row("malformed parameter", "GET http://localhost/?canisterId=x", 400);
});

describe("requests to the canister", () => {
  row("method, url, headers", `GET ${web}/open?a=%2F&b`, 200, {
    headers: ["X-Request-Id: 01980a3a-4e95-78f2-a86c-fc84d0e749c8", "Accept-Encoding: br", "X-Mine: 1"],
    then: async () => {
      const { method, url, headers, version } = await asked();
      const wrong = [method !== "GET" && method, url !== "/open?a=%2F&b" && url, version !== 2 && `version ${version}`,
        headers["x-request-id"] && "x-request-id", !/\bidentity\b/.test(headers["accept-encoding"]) && headers["accept-encoding"],
        headers["x-mine"] !== "1" && "x-mine", headers.host !== `${site.web}.localhost` && headers.host].filter(Boolean);
      return wrong.join(", ");
    },
  });
  row("a body of 10 MiB is taken", `POST ${web}/open`, 200, { body: "x".repeat(10 << 20), headers: ["Expect:"] });
  row("more is not", `POST ${web}/open`, 413, { body: "x".repeat((10 << 20) + 1), headers: ["Expect:"] });
  row("upgrade to a call", `POST ${web}/counter`, { status: 200, body: "^[1-9]\\d*$" });
});

describe("verification", () => {
  row("certified 404", `GET ${web}/absent`, { status: 404, body: "nothing here" });
  row("certified not to be certified", `GET ${web}/open`, { status: 200, body: "open" });
  row("no certificate", `GET ${web}/uncertified`, { status: 503, "retry-after": "\\d" });
  row("no certificate, raw", "GET http://{web}.raw.localhost/uncertified", { status: 200, body: "believe me" });
  row("only certified headers", `GET ${web}/`, { status: 200, "x-motto": "certified too" });
  row("changed on the way", `GET ${web}/unproven`, { status: 503, body: "backend_response_verification" }, {
    headers: ["Accept: application/json"], first: () => steer("/flip?mark=the%20body%20that"), then: () => steer("/flip").then(() => ""),
  });
});

describe("bodies", () => {
  row("streaming callbacks", `GET ${web}/large`, { status: 200, body: "^(0123456789abcdef){65536}$" });
  row("certified ranges, whole", `GET ${web}/film`, { status: 200, "content-length": "^1048576$", body: "^(0123456789abcdef){65536}$" });
  row("a range", `GET ${web}/film`, { status: 206, "content-range": "^bytes 400000-400015/1048576$", body: "^0123456789abcdef$" }, { headers: ["Range: bytes=400000-400015"] });
  row("a range beyond the end", `GET ${web}/film`, { status: 416 }, { headers: ["Range: bytes=9999999-"] });
  row("compressed for who wants it", `GET ${web}/long`, { status: 200, "content-encoding": "^(br|gzip)$", vary: "[Aa]ccept-[Ee]ncoding" }, { headers: ["Accept-Encoding: br, gzip"] });
  row("not for others", `GET ${web}/long`, { status: 200, "content-encoding": null, body: "^(0123456789abcdef){2500}$" });
  row("HEAD", `HEAD ${web}/`, { status: 200, "content-length": "^25$", "x-ic-canister-id": ".", body: "^$" });
  row("HEAD at an alias tells the canister", "HEAD http://shop.localhost/", { status: 200, "x-ic-canister-id": "^", "access-control-expose-headers": "x-ic-canister-id" });
  row("redirects are certified answers", `GET ${web}/moved`, { status: 200, location: "^/$" });
});

describe("caching", () => {
  row("the first answer is the canister's", `GET ${web}/style`, { status: 200, etag: '"v1"', "cache-status": "^portico; fwd" });
  row("the second is kept", `GET ${web}/style`, { status: 200, "cache-status": "^portico; hit", age: "^\\d+$", body: "color: red" });
  row("nothing new", `GET ${web}/style`, { status: 304, etag: '"v1"', body: "^$" }, { headers: ['If-None-Match: W/"v1"'] });
  row("something new", `GET ${web}/style`, { status: 200, body: "color: red" }, { headers: ['If-None-Match: "v0"'] });
  row("no-store", `GET ${web}/private`, { status: 200, "cache-status": "^portico; fwd" });
  row("no-store, again", `GET ${web}/private`, { status: 200, "cache-status": "^portico; fwd" });
  row("raw answers are not kept", "GET http://{web}.raw.localhost/style", { status: 200, "cache-status": null });
});

const headers = "user-agent, dnt, if-none-match, if-modified-since, cache-control, content-type, range, cookie, x-requested-with, x-ic-canister-id";
const expose = "^accept-ranges, content-length, content-range, x-request-id, x-ic-canister-id$";
const allow = (name) => `access-control-allow-${name}`;
const preflight = ["Origin: https://x.example", "Access-Control-Request-Method: POST"];

describe("cross-origin rules", () => {
  row("API preflight", "OPTIONS http://localhost/api/v4/canister/{web}/call",
    { status: 204, [allow("origin")]: "^\\*$", [allow("methods")]: "^POST$", [allow("headers")]: `^${headers}$`, "access-control-max-age": "^7200$" }, { headers: preflight });
  row("status preflight", "OPTIONS http://localhost/api/v2/status", { status: 204, [allow("methods")]: "^GET, HEAD$" }, { headers: preflight });
  row("API", "GET http://localhost/api/v2/status", { status: 200, [allow("origin")]: "^\\*$", "access-control-expose-headers": expose });
  row("HTTP preflight", `OPTIONS ${web}/absent`,
    { status: 204, [allow("methods")]: "^HEAD, GET, POST, PUT, DELETE, PATCH$", [allow("headers")]: `^${headers}, x-oc-jwt, x-oc-api-key$`, "access-control-max-age": "^7200$" },
    { headers: preflight });
  row("HTTP", `GET ${web}/`, { status: 200, [allow("origin")]: "^\\*$", "access-control-expose-headers": expose });
  row("the canister's rule wins", `GET ${web}/friends`, { status: 200, [allow("origin")]: "^https://friend.example$", "access-control-expose-headers": expose });
  row("and for preflights", `OPTIONS ${web}/friends`, { status: 200, [allow("origin")]: "^https://friend.example$", [allow("methods")]: "PATCH" }, { headers: preflight });
  row("problems are readable", "GET http://example.org/", { status: 400, [allow("origin")]: "^\\*$" });
});

const proxied = { "x-content-type-options": "^nosniff$", "x-frame-options": "^DENY$" };

describe("API", () => {
  row("status", "GET http://localhost/api/v2/status", { status: 200, ...proxied, "content-type": "^application/cbor$" });
  row("status, HEAD", "HEAD http://localhost/api/v2/status", { status: 200, ...proxied, body: "^$" });
  for (const path of [
    "v2/canister/{web}/query", "v2/canister/{web}/call", "v2/canister/{web}/read_state", "v2/subnet/{web}/read_state", "v3/canister/{web}/query", "v3/canister/{web}/call",
    "v3/canister/{web}/read_state", "v3/subnet/{web}/read_state", "v3/subnet/{web}/query", "v4/canister/{web}/call", "v4/subnet/{web}/call",
  ]) {
    // A replica says what is wrong with an empty body: the request went through.
    row("endpoint", `POST http://localhost/api/${path}`, { status: 400, ...proxied, [allow("origin")]: "." }, { body: "" });
    row("other method", `GET http://localhost/api/${path}`, { status: 405, allow: "^POST$" });
  }
  row("no endpoint", "POST http://localhost/api/v4/canister/{web}/query", 404);
  row("no version", "GET http://localhost/api/v9/status", 404);
  row("no principal", "POST http://localhost/api/v3/canister/nonsense/query", { status: 400, body: "client_incorrect_principal" }, { headers: ["Accept: application/json"] });
  for (const host of ["{web}.localhost", "{web}.raw.localhost", "shop.localhost", "registered.example", "127.0.0.1"]) {
    row("on every host", `GET http://${host}/api/v2/status`, { status: 200, ...proxied });
  }
  for (const status of [429, 500, 503]) {
    row(`asks again after ${status}`, "GET http://localhost/api/v2/status", 200, { first: () => steer(`/fail?status=${status}&times=3`) });
  }
  row("not for ever", "GET http://localhost/api/v2/status", { status: 503, "retry-after": "\\d" }, {
    first: () => steer("/fail?status=503&times=1000"), then: () => steer("/fail?times=0").then(() => ""),
  });
  row("large body", "POST http://localhost/api/v3/canister/{web}/query", 413, { body: "x".repeat((10 << 20) + 1), headers: ["Expect:"] });
});

describe("the gateway's own paths", () => {
  row("/health", "GET http://localhost/health", 200);
  row("/health is a canister's on its host", `GET ${web}/health`, { status: 404, body: "nothing here" });
  row("bare raw", "GET http://raw.localhost/", { status: 200, "content-type": "text/html" });
  row("no canister", "GET http://localhost/x", { status: 400, body: "canister_id_not_resolved" }, { headers: ["Accept: application/json"] });
  row("start page by HTTP is no service worker's", "GET http://localhost/?canisterId={web}", 403, { headers: ["Service-Worker: script"] });
});

const uuid = "^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$";

describe("headers of answers", () => {
  row("ids", `GET ${web}/`, { status: 200, "x-request-id": uuid, "x-ic-canister-id": "^[a-z0-9-]+-cai$" });
  row("a client's id is not kept", `GET ${web}/`, { status: 200, "x-request-id": "^(?!01980a3a)" }, { headers: ["X-Request-Id: 01980a3a-4e95-78f2-a86c-fc84d0e749c8"] });
  row("problems have one, too", "GET http://example.org/", { status: 400, "x-request-id": uuid });
  row("no HSTS on HTTP", `GET ${web}/`, { status: 200, "strict-transport-security": null });
  row("nothing of the machinery", `GET ${web}/`, { status: 200, "x-ic-node-id": null, "x-ic-subnet-id": null });
});

describe("problems", () => {
  const problems = {
    "no such canister": ["http://{missing}.localhost/", 404, "canister_not_found"],
    "stopped canister": ["http://{stopped}.localhost/", 503, "canister_error"],
    "canister without cycles": ["http://{broke}.localhost/", 503, "canister_frozen"],
    "canister without pages": ["http://{mute}.localhost/", 503, "canister_error"],
  };
  for (const [name, [url, status, code]] of Object.entries(problems)) {
    row(name, `GET ${url}`, { status, "content-type": "^application/json$", body: code }, { headers: ["Accept: application/json"] });
    row(name, `GET ${url}`, { status, "content-type": "^text/plain", body: "^[^<]*$" });
    row(name, `GET ${url}`, { status, "content-type": "^text/html", body: "<h1>", "content-security-policy": "default-src 'none'" }, { headers: ["Accept: text/html"] });
  }
  row("denied, at once", `GET ${web}/`, { status: 451, body: "Not served here" }, { first: () => writeFile(site.denied, `${site.web}\n`) });
  row("denied, raw", "GET http://{web}.raw.localhost/", 451);
  row("the API goes on", "GET http://localhost/api/v2/status", 200);
  row("served again, at once", `GET ${web}/`, 200, { first: () => writeFile(site.denied, "# nobody\n") });
});

describe("limits", () => {
  for (const n of [1, 2, 3]) row(`request ${n} of an address that may ask 3 times`, "GET http://localhost/api/v2/status", 200, { port: "slow" });
  row("request 4", "GET http://localhost/api/v2/status", { status: 429, "retry-after": "^[1-9]\\d*$", body: "rate_limited" }, { port: "slow", headers: ["Accept: application/json"] });
  let waiting;
  row("one too many at the same time", "GET http://localhost/api/v2/status", { status: 503, "retry-after": "^1$", body: "load_shed" }, {
    port: "small", headers: ["Accept: application/json"],
    first: async () => {
      await steer("/hold");
      waiting = curl(`GET http://${site.web}.localhost/`, { port: "small" });
      // It has the only place once somebody else is refused.
      for (let got = 200; got !== 503; ) got = (await curl("GET http://localhost/api/v2/status", { port: "small" })).status;
    },
    then: async () => {
      await steer("/release");
      const { status } = await waiting;
      return status === 200 ? "" : `the request within the bound: status ${status}`;
    },
  });
});

describe("TLS", () => {
  row("HTTP/2 and HSTS", "GET https://{web}.gateway.test/", { status: 200, body: page, "strict-transport-security": "^max-age=31536000$" }, {
    port: "tls", get more() { return ["--cacert", site.authority]; }, then: (got) => (got.protocol === "HTTP/2" ? "" : got.protocol),
  });
  row("HTTP/1.1", "GET https://gateway.test/api/v2/status", { status: 200 }, { port: "tls", get more() { return ["--cacert", site.authority, "--http1.1"]; } });
  row("from HTTP", "GET http://{web}.gateway.test/a?b", { status: 308, location: "^https://[a-z0-9-]+\\.gateway\\.test:\\d+/a\\?b$" }, { port: "plain" });
});

describe("figures", () => {
  row("metrics", "GET http://localhost/metrics", { status: 200, body: 'portico_gateway_requests_total\\{kind="http",status="2xx"\\} [1-9]' }, { port: "metrics" });
  row("not at the front", "GET http://localhost/metrics", 400);
});

describe("what no client should send", () => {
  /** Node's parser is not in the way here: the bytes go as they are. */
  const raw = async (what, { headers = [] } = {}) => new Promise((resolve, reject) => {
    const r = rawRequest({ port: site.ports.main, host: "127.0.0.1", path: what.split(" ")[1], setHost: false, headers: headers.map((h) => h.split(": ")).flat() }, (answer) => {
      answer.resume().on("end", () => resolve({ status: answer.statusCode, headers: answer.headers, body: "" }));
    });
    r.on("error", reject).end();
  });
  row("two hosts", "GET /", 400, { client: raw, headers: ["Host: localhost", "Host: evil.example"] });
  row("a path that climbs", `GET ${web}/../../etc/passwd`, { status: 404, body: "nothing here" });
  row("a path that climbs into the API", "GET http://localhost/api/v2/../v2/status", 404);
  row("escaped, too", "GET http://localhost/api/%2e%2e/api/v2/status", 404);
  row("a person in the host", "GET /", 400, { client: raw, headers: ["Host: user@localhost"] });
});
