// What the browser and the build give.

// The extension interface of Chromium, which has no types among our packages.
declare const chrome: any;

/** SHA-256 of the files of a gateway's light client, by name, as this very commit builds them. */
declare const HASHES: Record<string, string>;
