// What the build adds: Go's glue for WebAssembly.
declare module "wasm_exec" {}
