// Dapps for the tests: one page, built with the packages that dapps use, at as many origins as a test likes.

import { once } from "node:events";
import { createServer } from "node:http";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const page = `<!doctype html><html lang="en"><meta charset="utf-8"><title>Dapp</title>
<button id="icp-sdk">@icp-sdk/auth</button><button id="auth-client">@dfinity/auth-client</button>
<button id="attributes">attributes</button><button id="signer">signer</button><button id="twice">twice</button>
<script type="module" src="/dapp.js"></script></html>`;

export class Site {
  static async start() {
    const { outputFiles } = await build({ entryPoints: [join(here, "dapp/dapp.js")], bundle: true, format: "esm", target: "es2022", write: false, logLevel: "error" });
    const site = new Site();
    const script = outputFiles[0].text;
    site.server = createServer((request, response) => {
      const [type, body] = request.url === "/dapp.js" ? ["text/javascript", script] : ["text/html", page];
      response.writeHead(200, { "content-type": type }).end(body);
    });
    site.server.listen(0, "127.0.0.1");
    await once(site.server, "listening");
    return site;
  }

  /** The origin of the dapp of a name. */
  origin(name) {
    return `http://${name}.localhost:${this.server.address().port}`;
  }

  stop() {
    this.server.closeAllConnections();
    this.server.close();
  }
}
