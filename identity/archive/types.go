package main

import (
	"fmt"
	"math/big"
	"strings"

	"portico/identity/history"
	"portico/lightclient/principal"
)

// Types of the interface, see archive.did.
type (
	cursor struct {
		Timestamp *uint64 `candid:"timestamp,variant"`
		Next      *[]byte `candid:"next_token,variant"`
	}

	entries struct {
		Entries []*history.Entry `candid:"entries"`
	}

	anchorEntries struct {
		Entries []*history.Entry `candid:"entries"`
		Next    *[]byte          `candid:"next_token"`
	}

	fetchInfo struct {
		Timestamp uint64 `candid:"timestamp"`
		Entries   uint16 `candid:"number_of_entries"`
	}

	callError struct {
		Time     uint64       `candid:"time"`
		Canister principal.ID `candid:"canister"`
		Method   string       `candid:"method"`
		Argument []byte       `candid:"argument"`
		Code     int32        `candid:"rejection_code"`
		Message  string       `candid:"message"`
	}

	callInfo struct {
		Last   *fetchInfo  `candid:"last_successful_fetch"`
		Errors []callError `candid:"call_errors"`
	}

	running struct {
		Running  bool `candid:"running,variant"`
		Stopping bool `candid:"stopping,variant"`
		Stopped  bool `candid:"stopped,variant"`
	}

	settings struct {
		Controllers       []principal.ID `candid:"controllers"`
		ComputeAllocation *big.Int       `candid:"compute_allocation,nat"`
		MemoryAllocation  *big.Int       `candid:"memory_allocation,nat"`
		FreezingThreshold *big.Int       `candid:"freezing_threshold,nat"`
	}

	canisterStatus struct {
		Status     running  `candid:"status"`
		Settings   settings `candid:"settings"`
		ModuleHash *[]byte  `candid:"module_hash"`
		MemorySize *big.Int `candid:"memory_size,nat"`
		Cycles     *big.Int `candid:"cycles,nat"`
		Burned     *big.Int `candid:"idle_cycles_burned_per_day,nat"`
	}

	status struct {
		Init     history.Init   `candid:"init"`
		Calls    callInfo       `candid:"call_info"`
		Canister canisterStatus `candid:"canister_status"`
	}

	headerField struct {
		Name  string `candid:"0"`
		Value string `candid:"1"`
	}

	httpRequest struct {
		Method  string        `candid:"method"`
		URL     string        `candid:"url"`
		Headers []headerField `candid:"headers"`
		Body    []byte        `candid:"body"`
	}

	httpResponse struct {
		Status  uint16        `candid:"status_code"`
		Headers []headerField `candid:"headers"`
		Body    []byte        `candid:"body"`
		Upgrade *bool         `candid:"upgrade"`
	}
)

// http answers a request: there are metrics for Prometheus, which are not certified.
func (a *archive) http(req *httpRequest) httpResponse {
	if path, _, _ := strings.Cut(req.URL, "?"); path != "/metrics" {
		return httpResponse{Status: 404, Body: []byte("not found: this canister has /metrics alone\n")}
	}
	var b strings.Builder
	gauge := func(name, help string, value uint64) {
		fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %s gauge\n%s %d\n", name, help, name, name, value)
	}
	l := a.log
	gauge("ii_archive_last_upgrade_timestamp", "When this canister was installed or upgraded last.", a.config.Upgraded)
	gauge("ii_archive_log_entries_count", "Entries in this canister.", l.length)
	gauge("ii_archive_log_data_memory_size", "Bytes that entries take.", l.end)
	gauge("ii_archive_log_index_memory_size", "Bytes that the index by number takes.", l.length*slotBytes)
	gauge("ii_archive_anchor_index_entries_count", "Entries of the index by anchor.", l.entries)
	gauge("ii_archive_highest_sequence_number", "How many entries were fetched from the identity canister.", l.archived)
	gauge("ii_archive_missing_entries_count", "Entries that never came.", l.missing)
	if a.fetched != nil {
		gauge("ii_archive_last_successful_fetch_timestamp_seconds", "When entries were fetched last.", a.fetched.Timestamp/1_000_000_000)
		gauge("ii_archive_last_successful_fetch_entries_count", "How many they were.", uint64(a.fetched.Entries))
	}
	gauge("ii_archive_stored_call_errors", "Failed calls that are remembered.", uint64(len(a.errors)))
	return httpResponse{Status: 200, Headers: []headerField{{"content-type", "text/plain; version=0.0.4"}}, Body: []byte(b.String())}
}
