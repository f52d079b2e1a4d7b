// What the build adds: Go's glue for WebAssembly, and style sheets as text.
declare module "wasm_exec" {}
declare module "*.css" {
  const text: string;
  export default text;
}
