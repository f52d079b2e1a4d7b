//go:build !wasip1

package cdk

// ptr stands for an address in a canister's memory.
type ptr = uint32

func addr[T any](*T) ptr { return 0 }

// Outside a canister there is no system to ask. The package compiles everywhere so
// that programs written with it can be vetted, documented and partly tested
// anywhere; calling the system there is a mistake of the program.
func outside() uint64 { panic("cdk: the system can only be asked inside a canister") }

func msgArgDataSize() uint32                            { return uint32(outside()) }
func msgArgDataCopy(dst ptr, off, size uint32)          { outside() }
func msgCallerSize() uint32                             { return uint32(outside()) }
func msgCallerCopy(dst ptr, off, size uint32)           { outside() }
func msgCallerInfoDataSize() uint32                     { return uint32(outside()) }
func msgCallerInfoDataCopy(dst ptr, off, size uint32)   { outside() }
func msgCallerInfoSignerSize() uint32                   { return uint32(outside()) }
func msgCallerInfoSignerCopy(dst ptr, off, size uint32) { outside() }
func msgDeadline() uint64                               { return outside() }
func msgReplyDataAppend(src ptr, size uint32)           { outside() }
func msgReply()                                         { outside() }
func msgReject(src ptr, size uint32)                    { outside() }
func msgCyclesAvailable(dst ptr)                        { outside() }
func msgCyclesAccept(hi, lo uint64, dst ptr)            { outside() }
func cyclesBurn(hi, lo uint64, dst ptr)                 { outside() }
func canisterSelfSize() uint32                          { return uint32(outside()) }
func canisterSelfCopy(dst ptr, off, size uint32)        { outside() }
func canisterCycleBalance(dst ptr)                      { outside() }
func canisterLiquidCycleBalance(dst ptr)                { outside() }
func canisterVersion() uint64                           { return outside() }
func msgMethodNameSize() uint32                         { return uint32(outside()) }
func msgMethodNameCopy(dst ptr, off, size uint32)       { outside() }
func acceptMessage()                                    { outside() }
func callNew(callee ptr, calleeSize uint32, name ptr, nameSize, replyFun, replyEnv, rejectFun, rejectEnv uint32) {
	outside()
}
func callOnCleanup(fun, env uint32)                    { outside() }
func callWithBestEffortResponse(timeoutSeconds uint32) { outside() }
func callDataAppend(src ptr, size uint32)              { outside() }
func callCyclesAdd(hi, lo uint64)                      { outside() }
func callPerform() uint32                              { return uint32(outside()) }
func stable64Size() uint64                             { return outside() }
func stable64Grow(pages uint64) uint64                 { return outside() }
func stable64Write(off, src, size uint64)              { outside() }
func stable64Read(dst, off, size uint64)               { outside() }
func rootKeySize() uint32                              { return uint32(outside()) }
func rootKeyCopy(dst ptr, off, size uint32)            { outside() }
func certifiedDataSet(src ptr, size uint32)            { outside() }
func dataCertificatePresent() uint32                   { return uint32(outside()) }

func dataCertificateSize() uint32                   { return uint32(outside()) }
func dataCertificateCopy(dst ptr, off, size uint32) { outside() }
func icTime() uint64                                { return outside() }
func globalTimerSet(at uint64) uint64               { return outside() }
func performanceCounter(kind uint32) uint64         { return outside() }
func isController(src ptr, size uint32) uint32      { return uint32(outside()) }

func inReplicatedExecution() uint32 { return uint32(outside()) }

func envVarCount() uint32 { return uint32(outside()) }

func envVarNameSize(i uint32) uint32                                       { return uint32(outside()) }
func envVarNameCopy(i uint32, dst ptr, off, size uint32)                   { outside() }
func envVarValueSize(name ptr, nameSize uint32) uint32                     { return uint32(outside()) }
func envVarValueCopy(name ptr, nameSize uint32, dst ptr, off, size uint32) { outside() }
func debugPrint(src ptr, size uint32)                                      { outside() }
func icTrap(src ptr, size uint32)                                          { outside() }
func callbackIndex() uint32                                                { return uint32(outside()) }

func cleanupIndex() uint32 { return uint32(outside()) }
