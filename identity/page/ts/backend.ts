// Calls of the identity canister, at the origin that the page itself comes from.

import { Actor, type ActorSubclass, AnonymousIdentity, blsVerify, HttpAgent, type Identity } from "@icp-sdk/core/agent";
import { askWorker } from "../../../web/ts/shared/signature.ts";
import { type Account, type AttributesFor, type AttributeSpec, type IdentityInfo, type Metadata, type Method, type Opt, type Result, type Service, service } from "./interface.ts";
import { Problem } from "./problem.ts";
import type { AttributesAsked, Granted, SignedAttributes } from "./protocol/request.ts";
import type { Session } from "./session.ts";
import type { Settings } from "./settings.ts";

/** The number of an account; none for the one that everybody has, as long as it has no name. */
export type AccountNumber = Opt<bigint>;

/** For whom a delegation is asked. */
export interface DelegationRequest {
  /** The origin whose principal is meant. */
  readonly origin: string;
  /** An account, none being the one that everybody has, or whichever the person made their usual one there. */
  readonly account: AccountNumber | "usual";
  readonly sessionKey: Uint8Array;
  /** Nanoseconds; the canister decides if it is undefined, and keeps its bounds. */
  readonly maxTimeToLive?: bigint | undefined;
}

/** Asks a person for the characters of a captcha, PNG in base64; wrong says that the last ones were. */
export type Solve = (png: string, wrong: boolean) => Promise<string>;

/** A signature is there once the replica that is asked has the certified state of the call: a moment later at most. */
const signatureTries = 8;
const firstWaitMillis = 40;

export class Backend {
  readonly #settings: Settings;
  readonly #agents = new WeakMap<Identity, ActorSubclass<Service>>();
  readonly #nobody = new AnonymousIdentity();

  constructor(settings: Settings) {
    this.#settings = settings;
    this.#as(this.#nobody); // The first certificate takes longest to check: not while somebody waits.
  }

  #as(identity: Identity): ActorSubclass<Service> {
    let actor = this.#agents.get(identity);
    if (!actor) {
      const agent = HttpAgent.createSync({ host: location.origin, rootKey: this.#settings.rootKey, identity });
      actor = Actor.createActor<Service>(service, { agent, canisterId: this.#settings.backend, blsVerify: verifySignature });
      // Queries need the replicas' keys. They come while the first call runs, which says what is wrong if they do not.
      agent.fetchSubnetKeys({ canisterId: this.#settings.backend }).catch(() => {});
      this.#agents.set(identity, actor);
    }
    return actor;
  }

  /** Registers an identity. Solve is asked for the characters of captchas, until one is solved, if the network wants that. */
  async register(key: Identity, authn_method: Method, name: string, solve: Solve): Promise<bigint> {
    const actor = this.#as(key);
    let { next_step: next } = ok(await actor.identity_registration_start(), {
      RateLimitExceeded: "Many people create identities at this moment. Try again in a minute.",
    });
    let wrong = false;
    while ("CheckCaptcha" in next) {
      const { captcha_png_base64 } = next["CheckCaptcha"] as { captcha_png_base64: string };
      const result = await actor.check_captcha({ solution: await solve(captcha_png_base64, wrong) });
      wrong = "Err" in result && "WrongSolution" in result.Err;
      if ("Err" in result && "WrongSolution" in result.Err) {
        const { new_captcha_png_base64 } = result.Err["WrongSolution"] as { new_captcha_png_base64: string };
        next = { CheckCaptcha: { captcha_png_base64: new_captcha_png_base64 } };
      } else next = ok(result, { NoRegistrationFlow: "This took too long. Begin again." }).next_step;
    }
    return ok(await actor.identity_registration_finish({ authn_method, name: [name] })).identity_number;
  }

  async info({ anchor, identity }: Session): Promise<IdentityInfo> {
    return ok(await this.#as(identity).identity_info(anchor));
  }

  async addMethod({ anchor, identity }: Session, method: Method): Promise<void> {
    ok(await this.#as(identity).authn_method_add(anchor, method));
  }

  async removeMethod({ anchor, identity }: Session, publicKey: Uint8Array): Promise<void> {
    ok(await this.#as(identity).authn_method_remove(anchor, publicKey));
  }

  async setMetadata({ anchor, identity }: Session, publicKey: Uint8Array, metadata: Metadata): Promise<void> {
    ok(await this.#as(identity).authn_method_metadata_replace(anchor, publicKey, metadata));
  }

  async setSecurity({ anchor, identity }: Session, publicKey: Uint8Array, settings: Method["security_settings"]): Promise<void> {
    ok(await this.#as(identity).authn_method_security_settings_replace(anchor, publicKey, settings));
  }

  /** Lets another device announce itself, which finds the identity by the id; returns until when, in milliseconds since 1970. */
  async openRegistration({ anchor, identity }: Session, id: string): Promise<number> {
    return millis(ok(await this.#as(identity).authn_method_registration_mode_enter(anchor, [id])).expiration);
  }

  async closeRegistration({ anchor, identity }: Session): Promise<void> {
    await this.#as(identity).authn_method_registration_mode_exit(anchor, []);
  }

  /** Lets the other device in that shows a code. */
  async confirmCode({ anchor, identity }: Session, code: string): Promise<void> {
    const result = await this.#as(identity).authn_method_confirm(anchor, code);
    if ("Err" in result && "WrongCode" in result.Err) {
      const { retries_left } = result.Err["WrongCode"] as { retries_left: number };
      throw new Problem("refused", retries_left > 0 ? `This is not the code. You can try ${retries_left} more ${retries_left === 1 ? "time" : "times"}.` : "This was not the code, once too often. Begin again, with another one.");
    }
    ok(result, {
      RegistrationModeOff: "The time to add a device is over. Begin again.",
      NoAuthnMethodToConfirm: "Your other device has not asked yet. Open the address there first.",
    });
  }

  /** Whose device registration has an id. */
  async ofRegistration(id: string): Promise<bigint | undefined> {
    return (await this.#as(this.#nobody).lookup_by_registration_mode_id(id))[0];
  }

  /** Announces a key of another device; returns the code to type on the first one, and until when it counts. */
  async announce(anchor: bigint, key: Identity): Promise<{ code: string; expires: number }> {
    const { confirmation_code, expiration } = ok(await this.#as(key).authn_method_session_register(anchor), {
      RegistrationModeOff: "The time to add a device is over. Begin again on the device that you have.",
      RegistrationAlreadyInProgress: "Another device is being added to this identity. Begin again on the device that you have.",
    });
    return { code: confirmation_code, expires: millis(expiration) };
  }

  /** The identity's name once the key of another device was let in, undefined until then. */
  async admitted(anchor: bigint, key: Identity): Promise<{ name: string } | undefined> {
    const [info] = await this.#as(key).authn_method_session_info(anchor);
    return info && { name: info.name[0] ?? "" };
  }

  /** Adds what the device that was let in brings, and ends the registration. */
  async bring(anchor: bigint, key: Identity, method: Method): Promise<void> {
    ok(await this.#as(key).authn_method_registration_mode_exit(anchor, [method]), {
      RegistrationModeOff: "The time to add a device is over. Begin again on the device that you have.",
    });
  }

  /** Whose passkey a credential is, undefined for nobody's. */
  async ofPasskey(credentialId: Uint8Array): Promise<{ anchor: bigint; publicKey: Uint8Array } | undefined> {
    const [found] = await this.#as(this.#nobody).lookup_device_key(credentialId);
    return found && { anchor: found.anchor_number, publicKey: bytes(found.pubkey) };
  }

  /** Whose recovery phrase the caller has. */
  async ofPhrase(identity: Identity): Promise<bigint | undefined> {
    return (await this.#as(identity).lookup_caller_identity_by_recovery_phrase())[0];
  }

  /** The accounts at an origin, the one that everybody has first. */
  async accounts({ anchor, identity }: Session, origin: string): Promise<Account[]> {
    return ok(await this.#as(identity).get_accounts(anchor, origin));
  }

  async createAccount({ anchor, identity }: Session, origin: string, name: string): Promise<Account> {
    return ok(await this.#as(identity).create_account(anchor, origin, name), accountWords);
  }

  /** Gives an account another name, which the person alone sees. */
  async renameAccount({ anchor, identity }: Session, origin: string, account: AccountNumber, name: string): Promise<Account> {
    return ok(await this.#as(identity).update_account(anchor, origin, account, { name: [name] }), accountWords);
  }

  /** The account that the person gets at an origin without choosing. */
  async usualAccount({ anchor, identity }: Session, origin: string): Promise<Account> {
    return ok(await this.#as(identity).get_default_account(anchor, origin));
  }

  async setUsualAccount({ anchor, identity }: Session, origin: string, account: AccountNumber): Promise<void> {
    ok(await this.#as(identity).set_default_account(anchor, origin, account));
  }

  /**
   * Has the canister sign a delegation, and tells for which account: one update call, and
   * one query for the signature. The call finds the usual account by itself.
   */
  async delegation({ anchor, identity }: Session, request: DelegationRequest): Promise<{ granted: Granted; account: AccountNumber }> {
    const actor = this.#as(identity);
    const asked: AccountNumber = request.account === "usual" ? [] : request.account;
    const life: Opt<bigint> = request.maxTimeToLive === undefined ? [] : [request.maxTimeToLive];
    const prepared = ok(await actor.prepare_account_delegation(anchor, request.origin, asked, request.sessionKey, life, [], [request.account === "usual"]));
    const account = prepared.account_number;
    const { delegation, signature } = await fetched("NoSuchDelegation", () =>
      actor.get_account_delegation(anchor, request.origin, account, request.sessionKey, prepared.expiration, []),
    );
    const targets = delegation.targets[0];
    const signed = {
      delegation: { pubkey: bytes(delegation.pubkey), expiration: delegation.expiration, ...(targets && { targets }) },
      signature: bytes(signature),
    };
    return { granted: { userKey: bytes(prepared.user_key), delegations: [signed] }, account };
  }

  /** Has the canister sign attributes for an account: what an app asked for, in answer to its nonce. */
  async attributes({ anchor, identity }: Session, origin: string, account: AccountNumber, asked: AttributesAsked): Promise<SignedAttributes> {
    const actor = this.#as(identity);
    const of: AttributesFor = { identity_number: anchor, origin, account_number: account };
    const attributes = asked.keys.map((key): AttributeSpec => ({ key, value: [], omit_scope: false }));
    const { message } = ok(await actor.prepare_icrc3_attributes({ ...of, unmapped_origin: [], attributes, nonce: asked.nonce }));
    const { signature } = await fetched("NoSuchSignature", () => actor.get_icrc3_attributes({ ...of, message }));
    return { data: bytes(message), signature: bytes(signature) };
  }
}

/** Has the service worker that brought this page check a certificate's signature; without one, or if it is silent, the page does. */
async function verifySignature(key: Uint8Array, signature: Uint8Array, message: Uint8Array): Promise<boolean> {
  const worker = navigator.serviceWorker?.controller;
  return (worker && (await askWorker(worker, { key, message, signature }))) ?? blsVerify(key, signature, message);
}

/** Asks for something signed until the replica that is asked has it. */
async function fetched<T>(pending: string, ask: () => Promise<Result<T>>): Promise<T> {
  let wait = firstWaitMillis;
  for (let left = signatureTries; left > 0; left--) {
    const got = await ask();
    if ("Ok" in got || !(pending in got.Err)) return ok(got);
    await new Promise((resolve) => setTimeout(resolve, wait));
    wait *= 2;
  }
  throw new Problem("network", "The network signed and did not hand the signature out in time. Try again.");
}

/** The value of an answer; or throws what went wrong, in the words given for it or the canister's. */
function ok<T>(result: Result<T, Record<string, unknown> | null>, words: Record<string, string> = {}): T {
  if ("Ok" in result) return result.Ok;
  const [kind, detail] = Object.entries(result.Err ?? {})[0] ?? ["", undefined];
  const said = typeof detail === "string" ? detail : ((detail as { problems?: string[] } | null)?.problems?.join("; ") ?? "");
  const told = words[kind] ?? general[kind] ?? (said ? `The network refused this: ${said}.` : "The network refused this.");
  throw new Problem("refused", told, { cause: result.Err });
}

const general: Record<string, string> = {
  Unauthorized: "You are not signed in any more, or this passkey was removed from the identity. Sign in again.",
  PasskeyWithThisPublicKeyIsAlreadyUsed: "This passkey belongs to an identity already.",
  AuthnMethodNotFound: "It was removed in the meantime.",
  NoSuchAccount: "Your identity has no such account at this app any more.",
};

const accountWords: Record<string, string> = {
  AccountLimitReached: "Your identity has as many accounts as it may have.",
  NameTooLong: "This name is too long.",
};

const millis = (nanoseconds: bigint): number => Number(nanoseconds / 1_000_000n);
/** Candid decodes blobs as arrays that may be parts of larger ones. */
const bytes = (blob: Uint8Array | number[]): Uint8Array => Uint8Array.from(blob);
