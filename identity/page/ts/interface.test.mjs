// The pages call the identity canister as its interface, identity.did, says. What they send
// and read is in interface.ts twice: for Candid and for TypeScript. Both are held to the file.
//
// Candid's own rules of what fits are too kind for that: a field of an option that has
// another name reads as null for ever. So each field and each case that the pages know must be the canister's.

import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { IDL } from "@icp-sdk/core/candid";
import { build } from "esbuild";

const here = fileURLToPath(new URL(".", import.meta.url));
const root = join(here, "../../..");
const canister = JSON.parse(execFileSync("go", ["run", "./identity/page/interfacepeer"], { cwd: root, input: readFileSync(join(root, "identity/canister/identity.did")) }));

const { outputFiles } = await build({ entryPoints: [join(here, "interface.ts")], bundle: true, format: "esm", write: false });
const { service } = await import(`data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString("base64")}`);

/** Describes types of the pages as interfacepeer does those of the canister; recursive ones get a place in types. */
class Describer extends IDL.Visitor {
  types = {};
  #names = new Map();

  of = (t) => t.accept(this, null);
  #fields = (fields) => Object.fromEntries(fields.map(([name, type]) => [name, this.of(type)]));

  visitType = (t) => t.name;
  visitOpt = (_, elem) => ({ opt: this.of(elem) });
  visitVec = (_, elem) => ({ vec: this.of(elem) });
  visitRecord = (_, fields) => ({ record: this.#fields(fields) });
  visitTuple = (_, parts) => ({ record: this.#fields(parts.map((type, i) => [String(i), type])) });
  visitVariant = (_, cases) => ({ variant: this.#fields(cases) });
  visitRec(rec, type) {
    if (!this.#names.has(rec)) {
      const ref = `rec${this.#names.size}`;
      this.#names.set(rec, ref);
      this.types[ref] = this.of(type);
    }
    return { ref: this.#names.get(rec) };
  }
}

const describer = new Describer();
const page = {
  types: describer.types,
  methods: Object.fromEntries(
    service({ IDL })._fields.map(([name, f]) => [name, { args: f.argTypes.map(describer.of), results: f.retTypes.map(describer.of), query: f.annotations.includes("query") }]),
  ),
};

const resolve = (type, { types }) => (type?.ref === undefined ? type : resolve(types[type.ref], { types }));
const isOptional = (type, where) => resolve(type, where)?.opt !== undefined;

/** What does not fit, in words, where values of one interface are read by the other. Of the two, the pages' may know less. */
class Comparison {
  complaints = [];
  #seen = new Set();

  constructor(sender, reader, pageSends) {
    Object.assign(this, { sender, reader, pageSends });
  }

  types(from, to, at) {
    const pair = `${JSON.stringify(from)} ${JSON.stringify(to)}`;
    if (this.#seen.has(pair)) return;
    this.#seen.add(pair);
    const [sent, read] = [resolve(from, this.sender), resolve(to, this.reader)];
    const [kind] = typeof sent === "string" ? [sent] : Object.keys(sent);
    const [wanted] = typeof read === "string" ? [read] : Object.keys(read);
    if (kind !== wanted) this.complaints.push(`${at}: ${kind} is sent, ${wanted} is read`);
    else if (kind === "opt" || kind === "vec") this.types(sent[kind], read[kind], `${at} ${kind}`);
    else if (kind === "record") this.#records(sent.record, read.record, at);
    else if (kind === "variant") this.#variants(sent.variant, read.variant, at);
  }

  #records(sent, read, at) {
    const [pages, canisters, where] = this.pageSends ? [sent, read, this.reader] : [read, sent, this.sender];
    for (const name of Object.keys(pages)) if (!(name in canisters)) this.complaints.push(`${at}: the canister has no field ${name}`);
    for (const [name, type] of Object.entries(canisters)) {
      if (name in pages) this.types(sent[name], read[name], `${at}.${name}`);
      else if (this.pageSends && !isOptional(type, where)) this.complaints.push(`${at}: the page does not send ${name}`);
    }
  }

  #variants(sent, read, at) {
    for (const name of Object.keys(sent)) {
      if (name in read) this.types(sent[name], read[name], `${at}#${name}`);
      else this.complaints.push(`${at}: the case ${name} is sent and not read`);
    }
    if (this.pageSends) return;
    for (const name of Object.keys(read)) if (!(name in sent)) this.complaints.push(`${at}: the canister has no case ${name}`);
  }
}

/** What does not fit between the pages and a canister. */
function misfits(canister) {
  const complaints = [];
  for (const [name, ours] of Object.entries(page.methods)) {
    const its = canister.methods[name];
    if (!its) {
      complaints.push(`the canister has no method ${name}`);
      continue;
    }
    if (ours.query !== its.query) complaints.push(`${name}: the canister has ${its.query ? "a query" : "an update call"}`);
    const asking = new Comparison(page, canister, true);
    for (const [i, type] of ours.args.entries()) {
      if (i < its.args.length) asking.types(type, its.args[i], `${name} argument ${i}`);
      else complaints.push(`${name}: the canister takes ${its.args.length} arguments`);
    }
    for (const type of its.args.slice(ours.args.length)) if (!isOptional(type, canister)) complaints.push(`${name}: the page does not send every argument`);
    const answering = new Comparison(canister, page, false);
    if (ours.results.length !== its.results.length) complaints.push(`${name}: the canister answers with ${its.results.length} values`);
    else for (const [i, type] of its.results.entries()) answering.types(type, ours.results[i], `${name} result`);
    complaints.push(...asking.complaints, ...answering.complaints);
  }
  return complaints;
}

/** A type as TypeScript, in the form in which @icp-sdk/core has its values. */
function script(type) {
  const primitives = { null: "null", bool: "boolean", text: "string", principal: "Principal", nat8: "number", nat16: "number", nat32: "number", nat64: "bigint", nat: "bigint", int: "bigint" };
  if (typeof type === "string") return primitives[type];
  const [kind] = Object.keys(type);
  const inner = type[kind];
  switch (kind) {
    case "ref":
      return `$${inner}`;
    case "opt":
      return `[] | [${script(inner)}]`;
    case "vec":
      return resolve(inner, canister) === "nat8" ? "Uint8Array" : `(${script(inner)})[]`;
    case "record": {
      const names = Object.keys(inner);
      if (names.length > 0 && names.every((name, i) => name === String(i))) return `[${names.map((name) => script(inner[name])).join(", ")}]`;
      return `{ ${names.map((name) => `${name}: ${script(inner[name])}`).join("; ")} }`;
    }
    case "variant":
      return Object.entries(inner).map(([name, of]) => `{ ${name}: ${script(of)} }`).join(" | ") || "never";
  }
}

/** What tsc says if a canister is used as the pages' Service, for each method with which it cannot be. */
function typeErrors({ types, methods }) {
  const names = Object.keys(page.methods);
  const lines = [
    'import type { ActorMethod } from "@icp-sdk/core/agent";',
    'import type { Principal } from "@icp-sdk/core/principal";',
    `import type { Service } from ${JSON.stringify(join(here, "interface.ts"))};`,
    "export type Used = Principal;",
    ...Object.entries(types).map(([name, type]) => `type $${name} = ${script(type)};`),
    "export declare const canister: {",
    ...names.map((name) => `  ${name}: ActorMethod<[${methods[name].args.map(script).join(", ")}], ${methods[name].results.map(script).join(", ") || "undefined"}>;`),
    "};",
    `export const known: Record<keyof Service, true> = { ${names.map((name) => `${name}: true`).join(", ")} };`,
    ...names.map((name) => `export const $${name}: Service["${name}"] = canister.${name};`),
  ];
  mkdirSync(join(root, "build"), { recursive: true });
  const folder = mkdtempSync(join(root, "build/interface-"));
  try {
    writeFileSync(join(folder, "check.ts"), lines.join("\n"));
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ extends: join(here, "tsconfig.json"), compilerOptions: { noUnusedLocals: false }, include: ["check.ts"] }));
    const { status, stdout } = spawnSync(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "-p", folder, "--pretty", "false"], { encoding: "utf8" });
    const errors = [...stdout.matchAll(/^\S*check\.ts\((\d+),\d+\): error (.*)$/gm)].map(([, line, said]) => `${/\$(\w+):/.exec(lines[line - 1])?.[1]}: ${said}`);
    assert.equal(status === 0, errors.length === 0, stdout);
    return errors;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** The canister's interface with a change. */
function changed(change) {
  const other = structuredClone(canister);
  change(other);
  return other;
}

describe("the pages' view of the canister", () => {
  test("what the pages send and read fits identity.did", () => {
    assert.ok(Object.keys(page.methods).length > 20);
    assert.deepEqual(misfits(canister), []);
  });

  test("the types that the scripts are checked with fit identity.did", () => {
    assert.deepEqual(typeErrors(canister), []);
  });

  const rename = (of, name) => {
    of[`${name}_`] = of[name];
    delete of[name];
  };
  const changes = {
    "a result's field that got another name": [({ types }) => rename(types.AccountInfo.record, "last_used"), /no field last_used/, "get_accounts"],
    "an argument's field that got another name": [({ types }) => rename(types.AccountUpdate.record, "name"), /update_account argument 3: the canister has no field name/, "update_account"],
    "a field of another type": [({ types }) => (types.AccountInfo.record.name = { opt: "nat64" }), /nat64 is sent, text is read/, "get_accounts"],
    "a field that became an option": [({ types }) => (types.PrepareAccountDelegation.record.expiration = { opt: "nat64" }), /opt is sent, nat64 is read/, "prepare_account_delegation"],
    "an argument of another type": [({ methods }) => (methods.create_account.args[2] = "nat64"), /create_account argument 2: text is sent, nat64 is read/, "create_account"],
    "an argument that the pages do not know": [({ methods }) => methods.get_accounts.args.push("text"), /get_accounts: the page does not send every argument/, "get_accounts"],
    "a field that the pages do not send": [({ types }) => (types.AuthnMethodData.record.color = "text"), /the page does not send color/, "authn_method_add"],
    "a case that the pages do not read": [({ types }) => (types.AuthnMethod.variant.Password = "null"), /the case Password is sent and not read/, "identity_info"],
    "a case that got another name": [({ types }) => rename(types.AuthnMethodConfirmationError.variant, "WrongCode"), /no case WrongCode/],
    "a field deep in a recursive type": [({ types }) => rename(types.MetadataMapV2.vec.record["1"].variant, "Map"), /case Map is sent and not read/, "authn_method_metadata_replace"],
    "a query that became an update call": [({ methods }) => (methods.get_accounts.query = false), /get_accounts: the canister has an update call/],
    "an update call that became a query": [({ methods }) => (methods.prepare_account_delegation.query = true), /prepare_account_delegation: the canister has a query/],
    "a method that is gone": [({ methods }) => rename(methods, "set_default_account"), /no method set_default_account/],
  };
  for (const [what, [change, complaint]] of Object.entries(changes)) {
    test(`${what} is noticed`, () => assert.match(misfits(changed(change)).join("\n"), complaint));
  }

  test("what TypeScript can see of these changes is noticed there, too, each at its method", () => {
    const visible = Object.values(changes).filter(([, , method]) => method);
    const errors = typeErrors(changed((other) => visible.forEach(([change]) => change(other))));
    for (const [, , method] of visible) assert.ok(errors.some((error) => error.startsWith(`${method}: `)), `${method}:\n${errors.join("\n")}`);
  });
});
