package main

import (
	"fmt"

	"portico/node/cdk"
)

// The rest of the interface that clients know. These methods reject, so that who calls
// them learns why rather than that there is no such method.

// unbuilt refuses a method.
func unbuilt(method, needs string) error {
	return fmt.Errorf("%s is not built in this identity canister: it has no %s", method, needs)
}

func refuseUpdate(method, needs string) {
	cdk.Update(func(*cdk.Message) error { return unbuilt(method, needs) })
}

func refuseQuery(method, needs string) {
	cdk.Query(func(*cdk.Message) error { return unbuilt(method, needs) })
}

//go:wasmexport canister_update_prepare_id_alias
func noPrepareIdAlias() { refuseUpdate("prepare_id_alias", "verifiable credentials") }

//go:wasmexport canister_query_get_id_alias
func noGetIdAlias() { refuseQuery("get_id_alias", "verifiable credentials") }

//go:wasmexport canister_update_openid_identity_registration_finish
func noOpenidIdentityRegistrationFinish() {
	refuseUpdate("openid_identity_registration_finish", "OpenID")
}

//go:wasmexport canister_update_openid_credential_add
func noOpenidCredentialAdd() { refuseUpdate("openid_credential_add", "OpenID") }

//go:wasmexport canister_update_openid_credential_remove
func noOpenidCredentialRemove() { refuseUpdate("openid_credential_remove", "OpenID") }

//go:wasmexport canister_update_openid_prepare_delegation
func noOpenidPrepareDelegation() { refuseUpdate("openid_prepare_delegation", "OpenID") }

//go:wasmexport canister_query_openid_get_delegation
func noOpenidGetDelegation() { refuseQuery("openid_get_delegation", "OpenID") }

//go:wasmexport canister_update_discover_sso
func noDiscoverSso() { refuseUpdate("discover_sso", "OpenID") }

//go:wasmexport canister_query_get_sso_discovery_status
func noGetSsoDiscoveryStatus() { refuseQuery("get_sso_discovery_status", "OpenID") }

//go:wasmexport canister_update_sso_prepare_delegation
func noSsoPrepareDelegation() { refuseUpdate("sso_prepare_delegation", "OpenID") }

//go:wasmexport canister_query_sso_get_delegation
func noSsoGetDelegation() { refuseQuery("sso_get_delegation", "OpenID") }

//go:wasmexport canister_update_smtp_request
func noSmtpRequest() { refuseUpdate("smtp_request", "e-mail recovery") }

//go:wasmexport canister_query_smtp_request_validate
func noSmtpRequestValidate() { refuseQuery("smtp_request_validate", "e-mail recovery") }

//go:wasmexport canister_query_email_challenge_status
func noEmailChallengeStatus() { refuseQuery("email_challenge_status", "e-mail recovery") }

//go:wasmexport canister_query_email_challenge_diagnostics
func noEmailChallengeDiagnostics() { refuseQuery("email_challenge_diagnostics", "e-mail recovery") }

//go:wasmexport canister_update_email_challenge_submit_dkim_leaf
func noEmailChallengeSubmitDkimLeaf() {
	refuseUpdate("email_challenge_submit_dkim_leaf", "e-mail recovery")
}

//go:wasmexport canister_update_email_challenge_resolve_via_doh
func noEmailChallengeResolveViaDoh() {
	refuseUpdate("email_challenge_resolve_via_doh", "e-mail recovery")
}

//go:wasmexport canister_update_email_recovery_credential_prepare_add
func noEmailRecoveryCredentialPrepareAdd() {
	refuseUpdate("email_recovery_credential_prepare_add", "e-mail recovery")
}

//go:wasmexport canister_update_email_recovery_prepare_delegation
func noEmailRecoveryPrepareDelegation() {
	refuseUpdate("email_recovery_prepare_delegation", "e-mail recovery")
}

//go:wasmexport canister_query_email_recovery_get_delegation
func noEmailRecoveryGetDelegation() { refuseQuery("email_recovery_get_delegation", "e-mail recovery") }

//go:wasmexport canister_update_email_recovery_credential_remove
func noEmailRecoveryCredentialRemove() {
	refuseUpdate("email_recovery_credential_remove", "e-mail recovery")
}

//go:wasmexport canister_update_verified_email_prepare_add
func noVerifiedEmailPrepareAdd() { refuseUpdate("verified_email_prepare_add", "e-mail recovery") }

//go:wasmexport canister_update_verified_email_remove
func noVerifiedEmailRemove() { refuseUpdate("verified_email_remove", "e-mail recovery") }

//go:wasmexport canister_query_email_recovery_status
func noEmailRecoveryStatus() { refuseQuery("email_recovery_status", "e-mail recovery") }

//go:wasmexport canister_query_email_recovery_diagnostics
func noEmailRecoveryDiagnostics() { refuseQuery("email_recovery_diagnostics", "e-mail recovery") }

//go:wasmexport canister_update_email_recovery_submit_dkim_leaf
func noEmailRecoverySubmitDkimLeaf() {
	refuseUpdate("email_recovery_submit_dkim_leaf", "e-mail recovery")
}

//go:wasmexport canister_update_email_recovery_resolve_via_doh
func noEmailRecoveryResolveViaDoh() {
	refuseUpdate("email_recovery_resolve_via_doh", "e-mail recovery")
}

//go:wasmexport canister_query_mcp_get_config
func noMcpGetConfig() { refuseQuery("mcp_get_config", "MCP sessions") }

//go:wasmexport canister_update_mcp_set_config
func noMcpSetConfig() { refuseUpdate("mcp_set_config", "MCP sessions") }

//go:wasmexport canister_update_mcp_prepare_delegation
func noMcpPrepareDelegation() { refuseUpdate("mcp_prepare_delegation", "MCP sessions") }

//go:wasmexport canister_query_mcp_get_delegation
func noMcpGetDelegation() { refuseQuery("mcp_get_delegation", "MCP sessions") }

//go:wasmexport canister_query_mcp_get_accounts
func noMcpGetAccounts() { refuseQuery("mcp_get_accounts", "MCP sessions") }

//go:wasmexport canister_update_prepare_session_delegation
func noPrepareSessionDelegation() { refuseUpdate("prepare_session_delegation", "sessions of its own") }

//go:wasmexport canister_query_get_session_delegation
func noGetSessionDelegation() { refuseQuery("get_session_delegation", "sessions of its own") }

//go:wasmexport canister_update_prepare_mcp_registration_delegation
func noPrepareMcpRegistrationDelegation() {
	refuseUpdate("prepare_mcp_registration_delegation", "MCP sessions")
}

//go:wasmexport canister_query_get_mcp_registration_delegation
func noGetMcpRegistrationDelegation() { refuseQuery("get_mcp_registration_delegation", "MCP sessions") }

//go:wasmexport canister_update_mcp_register_v2
func noMcpRegisterV2() { refuseUpdate("mcp_register_v2", "MCP sessions") }
