package main

import "portico/lightclient/principal"

// Types of the second version of the interface, see identity.did.

// result is what most methods of the second version return; done what those return
// that have nothing to say but that it is done.
type (
	result[T, E any] struct {
		Ok  *T `candid:"Ok,variant"`
		Err *E `candid:"Err,variant"`
	}

	done[E any] struct {
		Ok  bool `candid:"Ok,variant"`
		Err *E   `candid:"Err,variant"`
	}

	// outcome is a done whose error says nothing.
	outcome struct {
		Ok  bool `candid:"Ok,variant"`
		Err bool `candid:"Err,variant"`
	}
)

func ok[T, E any](v T) result[T, E]             { return result[T, E]{Ok: &v} }
func failed[T, E any](e E) result[T, E]         { return result[T, E]{Err: &e} }
func finished[E any]() done[E]                  { return done[E]{Ok: true} }
func unfinished[E any](e E) done[E]             { return done[E]{Err: &e} }
func textOf(err error) *string                  { s := err.Error(); return &s }
func principalOf(id principal.ID) *principal.ID { return &id }

type (
	metadataEntry2 struct {
		Key   string         `candid:"0"`
		Value metadataValue2 `candid:"1"`
	}

	metadataValue2 struct {
		Map    *[]metadataEntry2 `candid:"Map,variant"`
		String *string           `candid:"String,variant"`
		Bytes  *[]byte           `candid:"Bytes,variant"`
	}

	webAuthn struct {
		CredentialID []byte  `candid:"credential_id"`
		PubKey       []byte  `candid:"pubkey"`
		AAGUID       *[]byte `candid:"aaguid"`
	}

	publicKeyAuthn struct {
		PubKey []byte `candid:"pubkey"`
	}

	authnMethod struct {
		WebAuthn *webAuthn       `candid:"WebAuthn,variant"`
		PubKey   *publicKeyAuthn `candid:"PubKey,variant"`
	}

	protection2 struct {
		Protected   bool `candid:"Protected,variant"`
		Unprotected bool `candid:"Unprotected,variant"`
	}

	purpose2 struct {
		Recovery       bool `candid:"Recovery,variant"`
		Authentication bool `candid:"Authentication,variant"`
	}

	securitySettings struct {
		Protection protection2 `candid:"protection"`
		Purpose    purpose2    `candid:"purpose"`
	}

	authnMethodData struct {
		Method   authnMethod      `candid:"authn_method"`
		Security securitySettings `candid:"security_settings"`
		Metadata []metadataEntry2 `candid:"metadata"`
		LastUsed *uint64          `candid:"last_authentication"`
	}

	registrationInfo2 struct {
		Method     *authnMethodData `candid:"authn_method"`
		Session    *principal.ID    `candid:"session"`
		Expiration uint64           `candid:"expiration"`
	}

	confirmationCode struct {
		Code       string `candid:"confirmation_code"`
		Expiration uint64 `candid:"expiration"`
	}

	sessionInfo struct {
		Name      *string `candid:"name"`
		CreatedAt *uint64 `candid:"created_at"`
	}

	identityAuthnInfo struct {
		Methods  []authnMethod `candid:"authn_methods"`
		Recovery []authnMethod `candid:"recovery_authn_methods"`
	}

	identityInfo struct {
		Methods      []authnMethodData  `candid:"authn_methods"`
		Registration *registrationInfo2 `candid:"authn_method_registration"`
		Metadata     []metadataEntry2   `candid:"metadata"`
		Name         *string            `candid:"name"`
		CreatedAt    *uint64            `candid:"created_at"`
	}

	identityInfoError struct {
		Unauthorized *principal.ID `candid:"Unauthorized,variant"`
		Internal     *string       `candid:"InternalCanisterError,variant"`
	}

	expirationInfo struct {
		Expiration uint64 `candid:"expiration"`
	}

	space struct {
		Available uint64 `candid:"space_available"`
		Required  uint64 `candid:"space_required"`
	}

	limitInfo struct {
		Limit uint64 `candid:"limit"`
	}

	metadataReplaceError struct {
		Unauthorized *principal.ID `candid:"Unauthorized,variant"`
		Space        *space        `candid:"StorageSpaceExceeded,variant"`
		Internal     *string       `candid:"InternalCanisterError,variant"`
	}

	properties struct {
		Name *string `candid:"name"`
	}

	propertiesReplaceError struct {
		Unauthorized *principal.ID `candid:"Unauthorized,variant"`
		Space        *space        `candid:"StorageSpaceExceeded,variant"`
		NameTooLong  *limitInfo    `candid:"NameTooLong,variant"`
		Internal     *string       `candid:"InternalCanisterError,variant"`
	}

	methodAddError struct {
		Invalid *string `candid:"InvalidMetadata,variant"`
	}

	methodReplaceError struct {
		Invalid  *string `candid:"InvalidMetadata,variant"`
		NotFound bool    `candid:"AuthnMethodNotFound,variant"`
		Used     bool    `candid:"PasskeyWithThisPublicKeyIsAlreadyUsed,variant"`
	}

	methodMetadataError struct {
		Invalid  *string `candid:"InvalidMetadata,variant"`
		NotFound bool    `candid:"AuthnMethodNotFound,variant"`
	}

	methodSecurityError struct {
		NotFound bool `candid:"AuthnMethodNotFound,variant"`
	}

	enterError struct {
		InvalidID    *string       `candid:"InvalidRegistrationId,variant"`
		Unauthorized *principal.ID `candid:"Unauthorized,variant"`
		InProgress   bool          `candid:"AlreadyInProgress,variant"`
		Internal     *string       `candid:"InternalCanisterError,variant"`
	}

	exitError struct {
		Unauthorized *principal.ID `candid:"Unauthorized,variant"`
		Internal     *string       `candid:"InternalCanisterError,variant"`
		ModeOff      bool          `candid:"RegistrationModeOff,variant"`
		Invalid      *string       `candid:"InvalidMetadata,variant"`
		Used         bool          `candid:"PasskeyWithThisPublicKeyIsAlreadyUsed,variant"`
	}

	methodRegisterError struct {
		ModeOff    bool          `candid:"RegistrationModeOff,variant"`
		InProgress bool          `candid:"RegistrationAlreadyInProgress,variant"`
		Invalid    *string       `candid:"InvalidMetadata,variant"`
		NotSelf    *principal.ID `candid:"NotSelfAuthenticating,variant"`
		Used       bool          `candid:"PasskeyWithThisPublicKeyIsAlreadyUsed,variant"`
	}

	confirmError struct {
		Unauthorized *principal.ID `candid:"Unauthorized,variant"`
		Internal     *string       `candid:"InternalCanisterError,variant"`
		Wrong        *retries      `candid:"WrongCode,variant"`
		ModeOff      bool          `candid:"RegistrationModeOff,variant"`
		Nothing      bool          `candid:"NoAuthnMethodToConfirm,variant"`
	}

	captchaStep struct {
		PNG string `candid:"captcha_png_base64"`
	}

	nextStep struct {
		CheckCaptcha *captchaStep `candid:"CheckCaptcha,variant"`
		Finish       bool         `candid:"Finish,variant"`
	}

	nextStepResult struct {
		Next nextStep `candid:"next_step"`
	}

	startError struct {
		InvalidCaller bool `candid:"InvalidCaller,variant"`
		RateLimit     bool `candid:"RateLimitExceeded,variant"`
		InProgress    bool `candid:"AlreadyInProgress,variant"`
	}

	checkCaptchaArg struct {
		Solution string `candid:"solution"`
	}

	newCaptcha struct {
		PNG string `candid:"new_captcha_png_base64"`
	}

	checkCaptchaError struct {
		Wrong      *newCaptcha     `candid:"WrongSolution,variant"`
		Unexpected *nextStepResult `candid:"UnexpectedCall,variant"`
		NoFlow     bool            `candid:"NoRegistrationFlow,variant"`
	}

	finishArg struct {
		Method authnMethodData `candid:"authn_method"`
		Name   *string         `candid:"name"`
	}

	finishResult struct {
		Number uint64 `candid:"identity_number"`
	}

	finishError struct {
		Unexpected *nextStepResult `candid:"UnexpectedCall,variant"`
		NoFlow     bool            `candid:"NoRegistrationFlow,variant"`
		Invalid    *string         `candid:"InvalidAuthnMethod,variant"`
		Storage    *string         `candid:"StorageError,variant"`
		SSO        bool            `candid:"SsoNormalLoginRequired,variant"`
	}
)
