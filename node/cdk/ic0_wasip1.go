package cdk

import "unsafe"

// ptr is an address in the canister's memory: Go's pointers have 64 bits on wasm,
// the system's 32.
type ptr = uint32

func addr[T any](p *T) ptr { return ptr(uintptr(unsafe.Pointer(p))) }

// The system API (interface specification, "Overview of imports").

//go:wasmimport ic0 msg_arg_data_size
func msgArgDataSize() uint32

//go:wasmimport ic0 msg_arg_data_copy
func msgArgDataCopy(dst ptr, off, size uint32)

//go:wasmimport ic0 msg_caller_size
func msgCallerSize() uint32

//go:wasmimport ic0 msg_caller_copy
func msgCallerCopy(dst ptr, off, size uint32)

//go:wasmimport ic0 msg_caller_info_data_size
func msgCallerInfoDataSize() uint32

//go:wasmimport ic0 msg_caller_info_data_copy
func msgCallerInfoDataCopy(dst ptr, off, size uint32)

//go:wasmimport ic0 msg_caller_info_signer_size
func msgCallerInfoSignerSize() uint32

//go:wasmimport ic0 msg_caller_info_signer_copy
func msgCallerInfoSignerCopy(dst ptr, off, size uint32)

//go:wasmimport ic0 msg_reject_code
func msgRejectCode() uint32

//go:wasmimport ic0 msg_reject_msg_size
func msgRejectMsgSize() uint32

//go:wasmimport ic0 msg_reject_msg_copy
func msgRejectMsgCopy(dst ptr, off, size uint32)

//go:wasmimport ic0 msg_deadline
func msgDeadline() uint64

//go:wasmimport ic0 msg_reply_data_append
func msgReplyDataAppend(src ptr, size uint32)

//go:wasmimport ic0 msg_reply
func msgReply()

//go:wasmimport ic0 msg_reject
func msgReject(src ptr, size uint32)

//go:wasmimport ic0 msg_cycles_available128
func msgCyclesAvailable(dst ptr)

//go:wasmimport ic0 msg_cycles_refunded128
func msgCyclesRefunded(dst ptr)

//go:wasmimport ic0 msg_cycles_accept128
func msgCyclesAccept(hi, lo uint64, dst ptr)

//go:wasmimport ic0 cycles_burn128
func cyclesBurn(hi, lo uint64, dst ptr)

//go:wasmimport ic0 canister_self_size
func canisterSelfSize() uint32

//go:wasmimport ic0 canister_self_copy
func canisterSelfCopy(dst ptr, off, size uint32)

//go:wasmimport ic0 canister_cycle_balance128
func canisterCycleBalance(dst ptr)

//go:wasmimport ic0 canister_liquid_cycle_balance128
func canisterLiquidCycleBalance(dst ptr)

//go:wasmimport ic0 canister_version
func canisterVersion() uint64

//go:wasmimport ic0 msg_method_name_size
func msgMethodNameSize() uint32

//go:wasmimport ic0 msg_method_name_copy
func msgMethodNameCopy(dst ptr, off, size uint32)

//go:wasmimport ic0 accept_message
func acceptMessage()

//go:wasmimport ic0 call_new
func callNew(callee ptr, calleeSize uint32, name ptr, nameSize, replyFun, replyEnv, rejectFun, rejectEnv uint32)

//go:wasmimport ic0 call_on_cleanup
func callOnCleanup(fun, env uint32)

//go:wasmimport ic0 call_with_best_effort_response
func callWithBestEffortResponse(timeoutSeconds uint32)

//go:wasmimport ic0 call_data_append
func callDataAppend(src ptr, size uint32)

//go:wasmimport ic0 call_cycles_add128
func callCyclesAdd(hi, lo uint64)

//go:wasmimport ic0 call_perform
func callPerform() uint32

//go:wasmimport ic0 stable64_size
func stable64Size() uint64

//go:wasmimport ic0 stable64_grow
func stable64Grow(pages uint64) uint64

//go:wasmimport ic0 stable64_write
func stable64Write(off, src, size uint64)

//go:wasmimport ic0 stable64_read
func stable64Read(dst, off, size uint64)

//go:wasmimport ic0 root_key_size
func rootKeySize() uint32

//go:wasmimport ic0 root_key_copy
func rootKeyCopy(dst ptr, off, size uint32)

//go:wasmimport ic0 certified_data_set
func certifiedDataSet(src ptr, size uint32)

//go:wasmimport ic0 data_certificate_present
func dataCertificatePresent() uint32

//go:wasmimport ic0 data_certificate_size
func dataCertificateSize() uint32

//go:wasmimport ic0 data_certificate_copy
func dataCertificateCopy(dst ptr, off, size uint32)

//go:wasmimport ic0 time
func icTime() uint64

//go:wasmimport ic0 global_timer_set
func globalTimerSet(at uint64) uint64

//go:wasmimport ic0 performance_counter
func performanceCounter(kind uint32) uint64

//go:wasmimport ic0 is_controller
func isController(src ptr, size uint32) uint32

//go:wasmimport ic0 in_replicated_execution
func inReplicatedExecution() uint32

//go:wasmimport ic0 env_var_count
func envVarCount() uint32

//go:wasmimport ic0 env_var_name_size
func envVarNameSize(i uint32) uint32

//go:wasmimport ic0 env_var_name_copy
func envVarNameCopy(i uint32, dst ptr, off, size uint32)

//go:wasmimport ic0 env_var_value_size
func envVarValueSize(name ptr, nameSize uint32) uint32

//go:wasmimport ic0 env_var_value_copy
func envVarValueCopy(name ptr, nameSize uint32, dst ptr, off, size uint32)

//go:wasmimport ic0 debug_print
func debugPrint(src ptr, size uint32)

//go:wasmimport ic0 trap
func icTrap(src ptr, size uint32)

// The linker puts the exported functions of these names into the table and lets
// these imports return where.

//go:wasmimport table cdk_callback
func callbackIndex() uint32

//go:wasmimport table cdk_cleanup
func cleanupIndex() uint32

// sha256Blocks is made by the linker: it compresses blocks of 64 bytes into the state.
//
//go:wasmimport intrinsic sha256
func sha256Blocks(state, data ptr, blocks uint32)
