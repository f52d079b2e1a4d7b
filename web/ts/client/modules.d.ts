// What is there besides browsers: Go's glue for WebAssembly, and Node's files.
declare module "wasm_exec" {}
declare module "node:fs/promises" {
  export function readFile(path: URL): Promise<Uint8Array<ArrayBuffer>>;
}
