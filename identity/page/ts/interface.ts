// The methods of the identity canister that the pages call, see identity/canister/identity.did.

import type { ActorMethod } from "@icp-sdk/core/agent";
import type { IDL } from "@icp-sdk/core/candid";
import type { Principal } from "@icp-sdk/core/principal";

export type Opt<T> = [] | [T];
type Nothing = null;

export type Value = { String: string } | { Bytes: Uint8Array } | { Map: Metadata };
export type Metadata = [string, Value][];

export interface Method {
  authn_method:
    | { WebAuthn: { credential_id: Uint8Array; pubkey: Uint8Array; aaguid: Opt<Uint8Array> } }
    | { PubKey: { pubkey: Uint8Array } };
  security_settings: {
    protection: { Protected: Nothing } | { Unprotected: Nothing };
    purpose: { Recovery: Nothing } | { Authentication: Nothing };
  };
  metadata: Metadata;
  last_authentication: Opt<bigint>;
}

export interface IdentityInfo {
  authn_methods: Method[];
  authn_method_registration: Opt<{ authn_method: Opt<Method>; session: Opt<Principal>; expiration: bigint }>;
  name: Opt<string>;
}

export interface Account {
  /** None for the account that everybody has and that was never changed. */
  account_number: Opt<bigint>;
  origin: string;
  last_used: Opt<bigint>;
  name: Opt<string>;
}

export interface SignedDelegation {
  delegation: { pubkey: Uint8Array; expiration: bigint; targets: Opt<Principal[]> };
  signature: Uint8Array;
}

/** Of whom attributes are, and for which origin. */
export interface AttributesFor {
  identity_number: bigint;
  origin: string;
  account_number: Opt<bigint>;
}

export interface AttributeSpec {
  key: string;
  value: Opt<Uint8Array>;
  omit_scope: boolean;
}

/** An answer of the second version of the interface; what went wrong is a variant, or not said. */
export type Result<T, E = Record<string, unknown>> = { Ok: T } | { Err: E };

export interface Service {
  identity_registration_start: ActorMethod<[], Result<{ next_step: Record<string, unknown> }>>;
  check_captcha: ActorMethod<[{ solution: string }], Result<{ next_step: Record<string, unknown> }>>;
  identity_registration_finish: ActorMethod<[{ authn_method: Method; name: Opt<string> }], Result<{ identity_number: bigint }>>;
  identity_info: ActorMethod<[bigint], Result<IdentityInfo>>;
  authn_method_add: ActorMethod<[bigint, Method], Result<Nothing>>;
  authn_method_remove: ActorMethod<[bigint, Uint8Array], Result<Nothing, Nothing>>;
  authn_method_metadata_replace: ActorMethod<[bigint, Uint8Array, Metadata], Result<Nothing>>;
  authn_method_security_settings_replace: ActorMethod<[bigint, Uint8Array, Method["security_settings"]], Result<Nothing>>;
  authn_method_registration_mode_enter: ActorMethod<[bigint, Opt<string>], Result<{ expiration: bigint }>>;
  authn_method_registration_mode_exit: ActorMethod<[bigint, Opt<Method>], Result<Nothing>>;
  authn_method_session_register: ActorMethod<[bigint], Result<{ confirmation_code: string; expiration: bigint }>>;
  authn_method_session_info: ActorMethod<[bigint], Opt<{ name: Opt<string> }>>;
  authn_method_confirm: ActorMethod<[bigint, string], Result<Nothing>>;
  lookup_by_registration_mode_id: ActorMethod<[string], Opt<bigint>>;
  lookup_device_key: ActorMethod<[Uint8Array], Opt<{ pubkey: Uint8Array; anchor_number: bigint }>>;
  lookup_caller_identity_by_recovery_phrase: ActorMethod<[], Opt<bigint>>;
  get_accounts: ActorMethod<[bigint, string], Result<Account[]>>;
  create_account: ActorMethod<[bigint, string, string], Result<Account>>;
  update_account: ActorMethod<[bigint, string, Opt<bigint>, { name: Opt<string> }], Result<Account>>;
  get_default_account: ActorMethod<[bigint, string], Result<Account>>;
  set_default_account: ActorMethod<[bigint, string, Opt<bigint>], Result<Account>>;
  prepare_account_delegation: ActorMethod<
    [bigint, string, Opt<bigint>, Uint8Array, Opt<bigint>, [], [boolean]],
    Result<{ user_key: Uint8Array; expiration: bigint; account_number: Opt<bigint> }>
  >;
  get_account_delegation: ActorMethod<[bigint, string, Opt<bigint>, Uint8Array, bigint, []], Result<SignedDelegation>>;
  prepare_icrc3_attributes: ActorMethod<[AttributesFor & { unmapped_origin: []; attributes: AttributeSpec[]; nonce: Uint8Array }], Result<{ message: Uint8Array }>>;
  get_icrc3_attributes: ActorMethod<[AttributesFor & { message: Uint8Array }], Result<{ signature: Uint8Array }>>;
}

export const service: IDL.InterfaceFactory = ({ IDL }) => {
  const { Null, Text, Nat8, Nat64, Principal: Id } = IDL;
  const Blob = IDL.Vec(Nat8);
  const opt = IDL.Opt;
  const Metadata = IDL.Rec();
  Metadata.fill(IDL.Vec(IDL.Tuple(Text, IDL.Variant({ Map: Metadata, String: Text, Bytes: Blob }))));
  const Security = IDL.Record({
    protection: IDL.Variant({ Protected: Null, Unprotected: Null }),
    purpose: IDL.Variant({ Recovery: Null, Authentication: Null }),
  });
  const Method = IDL.Record({
    authn_method: IDL.Variant({
      WebAuthn: IDL.Record({ credential_id: Blob, pubkey: Blob, aaguid: opt(Blob) }),
      PubKey: IDL.Record({ pubkey: Blob }),
    }),
    security_settings: Security,
    metadata: Metadata,
    last_authentication: opt(Nat64),
  });
  const Info = IDL.Record({
    authn_methods: IDL.Vec(Method),
    authn_method_registration: opt(IDL.Record({ authn_method: opt(Method), session: opt(Id), expiration: Nat64 })),
    name: opt(Text),
  });
  const Account = IDL.Record({ account_number: opt(Nat64), origin: Text, last_used: opt(Nat64), name: opt(Text) });
  const Signed = IDL.Record({
    delegation: IDL.Record({ pubkey: Blob, expiration: Nat64, targets: opt(IDL.Vec(Id)) }),
    signature: Blob,
  });
  const Permissions = IDL.Variant({ queries: Null, all: Null });
  const refused = { Unauthorized: Id, InternalCanisterError: Text };
  const Step = IDL.Variant({ CheckCaptcha: IDL.Record({ captcha_png_base64: Text }), Finish: Null });
  const NextStep = IDL.Record({ next_step: Step });
  const result = (Ok: IDL.Type, errors: Record<string, IDL.Type>) => IDL.Variant({ Ok, Err: IDL.Variant(errors) });
  const silent = IDL.Variant({ Ok: Null, Err: Null });
  const accountErrors = { ...refused, AccountLimitReached: Null, NameTooLong: Null };
  const delegationErrors = { ...refused, NoSuchDelegation: Null };
  const registerErrors = {
    RegistrationModeOff: Null,
    RegistrationAlreadyInProgress: Null,
    InvalidMetadata: Text,
    NotSelfAuthenticating: Id,
    PasskeyWithThisPublicKeyIsAlreadyUsed: Null,
  };
  const attributesFor = { identity_number: Nat64, origin: Text, account_number: opt(Nat64) };
  const problems = IDL.Record({ problems: IDL.Vec(Text) });
  const NoSuchOrigin = IDL.Record({ anchor_number: Nat64 });
  const NoSuchAccount = IDL.Record({ anchor_number: Nat64, origin: Text });
  const NoAccount = IDL.Variant({ NoSuchOrigin, NoSuchAccount });
  const defaultErrors = { ...refused, NoSuchAnchor: Null, NoSuchOrigin };
  const attributeErrors = { ValidationError: problems, AuthorizationError: Id, GetAccountError: NoAccount };
  const query = ["query"];
  return IDL.Service({
    identity_registration_start: IDL.Func([], [result(NextStep, { InvalidCaller: Null, RateLimitExceeded: Null, AlreadyInProgress: Null })]),
    check_captcha: IDL.Func(
      [IDL.Record({ solution: Text })],
      [
        result(NextStep, {
          WrongSolution: IDL.Record({ new_captcha_png_base64: Text }),
          UnexpectedCall: NextStep,
          NoRegistrationFlow: Null,
        }),
      ],
    ),
    identity_registration_finish: IDL.Func(
      [IDL.Record({ authn_method: Method, name: opt(Text) })],
      [
        result(IDL.Record({ identity_number: Nat64 }), {
          UnexpectedCall: NextStep,
          NoRegistrationFlow: Null,
          InvalidAuthnMethod: Text,
          StorageError: Text,
          SsoNormalLoginRequired: Null,
        }),
      ],
    ),
    identity_info: IDL.Func([Nat64], [result(Info, refused)]),
    authn_method_add: IDL.Func([Nat64, Method], [result(Null, { InvalidMetadata: Text })]),
    authn_method_remove: IDL.Func([Nat64, Blob], [silent]),
    authn_method_metadata_replace: IDL.Func([Nat64, Blob, Metadata], [result(Null, { InvalidMetadata: Text, AuthnMethodNotFound: Null })]),
    authn_method_security_settings_replace: IDL.Func([Nat64, Blob, Security], [result(Null, { AuthnMethodNotFound: Null })]),
    authn_method_registration_mode_enter: IDL.Func(
      [Nat64, opt(Text)],
      [result(IDL.Record({ expiration: Nat64 }), { ...refused, InvalidRegistrationId: Text, AlreadyInProgress: Null })],
    ),
    authn_method_registration_mode_exit: IDL.Func(
      [Nat64, opt(Method)],
      [result(Null, { ...refused, RegistrationModeOff: Null, InvalidMetadata: Text, PasskeyWithThisPublicKeyIsAlreadyUsed: Null })],
    ),
    authn_method_session_register: IDL.Func(
      [Nat64],
      [result(IDL.Record({ confirmation_code: Text, expiration: Nat64 }), registerErrors)],
    ),
    authn_method_session_info: IDL.Func([Nat64], [opt(IDL.Record({ name: opt(Text) }))], query),
    authn_method_confirm: IDL.Func(
      [Nat64, Text],
      [result(Null, { ...refused, WrongCode: IDL.Record({ retries_left: Nat8 }), RegistrationModeOff: Null, NoAuthnMethodToConfirm: Null })],
    ),
    lookup_by_registration_mode_id: IDL.Func([Text], [opt(Nat64)], query),
    lookup_device_key: IDL.Func([Blob], [opt(IDL.Record({ pubkey: Blob, anchor_number: Nat64 }))], query),
    lookup_caller_identity_by_recovery_phrase: IDL.Func([], [opt(Nat64)]),
    get_accounts: IDL.Func([Nat64, Text], [result(IDL.Vec(Account), refused)], query),
    create_account: IDL.Func([Nat64, Text, Text], [result(Account, accountErrors)]),
    update_account: IDL.Func([Nat64, Text, opt(Nat64), IDL.Record({ name: opt(Text) })], [result(Account, accountErrors)]),
    get_default_account: IDL.Func([Nat64, Text], [result(Account, defaultErrors)], query),
    set_default_account: IDL.Func([Nat64, Text, opt(Nat64)], [result(Account, { ...defaultErrors, NoSuchAccount })]),
    prepare_account_delegation: IDL.Func(
      [Nat64, Text, opt(Nat64), Blob, opt(Nat64), opt(Permissions), opt(IDL.Bool)],
      [result(IDL.Record({ user_key: Blob, expiration: Nat64, account_number: opt(Nat64) }), delegationErrors)],
    ),
    get_account_delegation: IDL.Func(
      [Nat64, Text, opt(Nat64), Blob, Nat64, opt(Permissions)],
      [result(Signed, delegationErrors)],
      query,
    ),
    prepare_icrc3_attributes: IDL.Func(
      [
        IDL.Record({
          ...attributesFor,
          unmapped_origin: opt(Text),
          attributes: IDL.Vec(IDL.Record({ key: Text, value: opt(Blob), omit_scope: IDL.Bool })),
          nonce: Blob,
        }),
      ],
      [result(IDL.Record({ message: Blob }), { ...attributeErrors, AttributeMismatch: problems })],
    ),
    get_icrc3_attributes: IDL.Func(
      [IDL.Record({ ...attributesFor, message: Blob })],
      [result(IDL.Record({ signature: Blob }), { ...attributeErrors, NoSuchSignature: Null })],
      query,
    ),
  });
};
