package types

import "fmt"

// RejectCode says what kind of failure a call met (interface specification, "Reject codes").
type RejectCode uint8

// The reject codes.
const (
	SysFatal           RejectCode = 1
	SysTransient       RejectCode = 2
	DestinationInvalid RejectCode = 3
	CanisterReject     RejectCode = 4
	CanisterError      RejectCode = 5
	SysUnknown         RejectCode = 6
)

// ErrorCode is the finer code that clients see as "IC0ddd"; its hundreds digit
// is the reject code.
type ErrorCode uint16

// The error codes (interface specification, "Error codes"; names as the reference replica has them).
const (
	ErrSubnetOversubscribed         ErrorCode = 101
	ErrMaxNumberOfCanistersReached  ErrorCode = 102
	ErrCanisterQueueFull            ErrorCode = 201
	ErrIngressMessageTimeout        ErrorCode = 202
	ErrCanisterQueueNotEmpty        ErrorCode = 203
	ErrIngressHistoryFull           ErrorCode = 204
	ErrCanisterIDAlreadyExists      ErrorCode = 205
	ErrStopCanisterRequestTimeout   ErrorCode = 206
	ErrCanisterOutOfCycles          ErrorCode = 207
	ErrCertifiedStateUnavailable    ErrorCode = 208
	ErrCanisterInstallRateLimited   ErrorCode = 209
	ErrCanisterHeapDeltaRateLimited ErrorCode = 210
	ErrCanisterNotFound             ErrorCode = 301
	ErrSnapshotNotFound             ErrorCode = 305
	ErrInsufficientMemoryAllocation ErrorCode = 402
	ErrInsufficientCreateCycles     ErrorCode = 403
	ErrSubnetNotFound               ErrorCode = 404
	ErrCanisterNotHosted            ErrorCode = 405
	ErrCanisterRejectedMessage      ErrorCode = 406
	ErrUnknownManagementMessage     ErrorCode = 407
	ErrInvalidManagementPayload     ErrorCode = 408
	ErrCanisterTrapped              ErrorCode = 502
	ErrCanisterCalledTrap           ErrorCode = 503
	ErrCanisterContractViolation    ErrorCode = 504
	ErrCanisterInvalidWasm          ErrorCode = 505
	ErrCanisterDidNotReply          ErrorCode = 506
	ErrCanisterOutOfMemory          ErrorCode = 507
	ErrCanisterStopped              ErrorCode = 508
	ErrCanisterStopping             ErrorCode = 509
	ErrCanisterNotStopped           ErrorCode = 510
	ErrCanisterStoppingCancelled    ErrorCode = 511
	ErrCanisterInvalidController    ErrorCode = 512
	ErrCanisterFunctionNotFound     ErrorCode = 513
	ErrCanisterNonEmpty             ErrorCode = 514
	ErrQueryCallGraphLoopDetected   ErrorCode = 517
	ErrInsufficientCyclesInCall     ErrorCode = 520
	ErrCanisterWasmEngineError      ErrorCode = 521
	ErrCanisterInstructionLimit     ErrorCode = 522
	ErrCanisterMemoryAccessLimit    ErrorCode = 524
	ErrQueryCallGraphTooDeep        ErrorCode = 525
	ErrQueryCallGraphInstructions   ErrorCode = 526
	ErrCompositeQueryInReplicated   ErrorCode = 527
	ErrQueryTimeLimitExceeded       ErrorCode = 528
	ErrQueryCallGraphInternal       ErrorCode = 529
	ErrInsufficientCyclesCompute    ErrorCode = 530
	ErrInsufficientCyclesMemory     ErrorCode = 531
	ErrInsufficientCyclesMemoryGrow ErrorCode = 532
	ErrReservedCyclesLimitExceeded  ErrorCode = 533
	ErrReservedCyclesLimitInMemory  ErrorCode = 534
	ErrInsufficientCyclesForMessage ErrorCode = 535
	ErrCanisterMethodNotFound       ErrorCode = 536
	ErrCanisterWasmModuleNotFound   ErrorCode = 537
	ErrCanisterAlreadyInstalled     ErrorCode = 538
	ErrCanisterWasmMemoryLimit      ErrorCode = 539
	ErrReservedCyclesLimitTooLow    ErrorCode = 540
	ErrDeadlineExpired              ErrorCode = 601
	ErrResponseDropped              ErrorCode = 602
)

// RejectCode is the kind of failure the code belongs to.
func (c ErrorCode) RejectCode() RejectCode { return RejectCode(c / 100) }

// String is the form clients see, such as "IC0536".
func (c ErrorCode) String() string { return fmt.Sprintf("IC%04d", uint16(c)) }

// A Reject is the negative answer to a call.
type Reject struct {
	Code    ErrorCode
	Message string
}

// maxRejectMessageBytes bounds the message of a Reject.
const maxRejectMessageBytes = 8 * KiB

// Rejectf makes a Reject with a formatted message, cut to 8 KiB.
func Rejectf(code ErrorCode, format string, args ...any) *Reject {
	msg := fmt.Sprintf(format, args...)
	if len(msg) > maxRejectMessageBytes {
		msg = msg[:maxRejectMessageBytes]
	}
	return &Reject{Code: code, Message: msg}
}

// Error makes a Reject an error: "IC0536: message".
func (r *Reject) Error() string { return fmt.Sprintf("%s: %s", r.Code, r.Message) }
