// The networks that the person believes, and which canister a URL belongs to.

export interface Network {
  name: string;
  /** The network's public key, DER in hex. It never comes from the network. */
  rootKey: string;
  /** Who is asked, never believed: an API boundary node or a replica; "" for the site's own origin. */
  api: string;
  /** Names below which gateways serve the network's canisters. */
  domains: string[];
}

/** The Internet Computer. Its key is built in. */
export const mainnet: Network = {
  name: "Internet Computer",
  rootKey:
    "308182301d060d2b0601040182dc7c0503010201060c2b0601040182dc7c05030201036100" +
    "814c0e6ec71fab583b08bd81373c255c3c371b2e84863c98a4f1e08b74235d14fb5d9c0cd546d9685f913a0c0b2cc534" +
    "1583bf4b4392e467db96d65b9bb4cb717112f8472e0d5a4d14505ffd7484b01291091c5f87b98883463f98091a0baaae",
  api: "https://icp-api.io",
  domains: ["icp0.io", "ic0.app", "icp.net", "icp1.io"],
};

export interface Settings {
  /** Networks that the person added. */
  networks: Network[];
  /** Hold every answer until it is verified, through the browser's debugger. */
  strict: boolean;
}

export async function settings(): Promise<Settings> {
  const { networks = [], strict = false } = await chrome.storage.local.get(["networks", "strict"]);
  return { networks, strict };
}

/** The canister that a URL belongs to. */
export interface Site {
  canister: string;
  /** Absent: a local network whose key the person has not given. */
  network?: Network;
  /** Who says which canister it is: the address itself, or the gateway by a header. */
  named: "address" | "gateway";
}

export type Headers = [name: string, value: string][];

const principal = /^[a-z2-7]{5}(-[a-z2-7]{5})*-[a-z2-7]{1,5}$/;

export const valueOf = (headers: Headers, name: string): string | undefined =>
  headers.find(([n]) => n.toLowerCase() === name)?.[1];

/** Finds the site of a URL; undefined if nothing says that a canister is behind it. */
export function siteOf(url: URL, headers: Headers, added: Network[]): Site | undefined {
  if (url.protocol !== "https:" && url.protocol !== "http:") return undefined;
  // Networks that the person added come first: their word on a domain is final.
  const networks = [...added, mainnet];
  const within = (domain: string) => url.hostname === domain || url.hostname.endsWith("." + domain);
  let network = networks.find((n) => n.domains.some(within));
  const local = within("localhost") || url.hostname === "127.0.0.1";
  const label = url.hostname.split(".", 1)[0] ?? "";
  const name = label.slice(label.lastIndexOf("--") < 0 ? 0 : label.lastIndexOf("--") + 2);
  const site = (canister: string, named: Site["named"]): Site => ({ canister, named, ...(network && { network }) });
  if ((network || local) && principal.test(name)) return site(name, "address");
  const told = valueOf(headers, "x-ic-canister-id");
  if (!told || !principal.test(told)) return undefined;
  // A domain of the site's own stands for the Internet Computer: local ones are told apart by their names.
  if (!local) network ??= mainnet;
  return site(told, "gateway");
}

/** Paths that speak for themselves: the API is checked by whoever asks it, the rest is the gateway's own. */
export const isGateways = (url: URL): boolean => url.pathname.startsWith("/api/") || url.pathname.startsWith("/_portico/");
