package wasm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"portico/lightclient/leb128"
	"portico/node/cdk/link"
)

// message is the Env of calls in these tests: what the few functions of the system API
// that matter here work on.
type message struct {
	arg, reply []byte
	replied    bool
}

// systemSignatures are the functions of the system API, which do nothing yet. A letter
// is a type: p pointer, i i32, l i64.
func systemSignatures() (out []HostFunc) {
	for _, f := range strings.Fields(`accept_message: call_cycles_add:l call_cycles_add128:ll call_data_append:pp call_new:pppppppp
		call_on_cleanup:pp call_perform:>i call_with_best_effort_response:i canister_cycle_balance:>l canister_cycle_balance128:p
		canister_self_copy:ppp canister_self_size:>p canister_status:>i canister_version:>l certified_data_set:pp data_certificate_copy:ppp
		data_certificate_present:>i data_certificate_size:>p debug_print:pp global_timer_set:l>l in_replicated_execution:>i is_controller:pp>i
		msg_arg_data_copy:ppp msg_arg_data_size:>p msg_caller_copy:ppp msg_caller_size:>p msg_cycles_accept:l>l msg_cycles_accept128:llp
		msg_cycles_available:>l msg_cycles_available128:p msg_cycles_refunded:>l msg_cycles_refunded128:p msg_deadline:>l msg_method_name_copy:ppp
		msg_method_name_size:>p msg_reject:pp msg_reject_code:>i msg_reject_msg_copy:ppp msg_reject_msg_size:>p msg_reply: msg_reply_data_append:pp
		performance_counter:i>l stable64_grow:l>l stable64_read:lll stable64_size:>l stable64_write:lll stable_grow:i>i stable_read:iii
		stable_size:>i stable_write:iii time:>l trap:pp msg_caller_info_data_size:>p msg_caller_info_data_copy:ppp msg_caller_info_signer_size:>p
		msg_caller_info_signer_copy:ppp cycles_burn128:llp subnet_self_size:>p subnet_self_copy:ppp canister_liquid_cycle_balance128:p root_key_size:>p
		root_key_copy:ppp cost_call:llp cost_create_canister:p cost_http_request:llp cost_sign_with_ecdsa:ppip>i cost_sign_with_schnorr:ppip>i
		cost_vetkd_derive_key:ppip>i env_var_count:>p env_var_name_size:p>p env_var_name_copy:pppp env_var_name_exists:pp>i env_var_value_size:pp>p
		env_var_value_copy:ppppp`) {
		name, sig, _ := strings.Cut(f, ":")
		params, results, _ := strings.Cut(sig, ">")
		types := func(s string) (out []ValueType) {
			for _, c := range s {
				out = append(out, map[rune]ValueType{'p': Ptr, 'i': I32, 'l': I64}[c])
			}
			return out
		}
		out = append(out, HostFunc{Name: name, Params: types(params), Results: types(results)})
	}
	return out
}

// systemAPI is enough of the system API for compiled canisters to run: arguments,
// replies and traps; everything else does nothing and gives zero.
func systemAPI() []HostFunc {
	out := systemSignatures()
	for i := range out {
		h := &out[i]
		h.Func = func(c *Caller, stack []uint64) error {
			if err := c.Charge(100); err != nil {
				return err
			}
			m := c.Env().(*message)
			switch h.Name {
			case "msg_arg_data_size":
				stack[0] = uint64(len(m.arg))
			case "msg_arg_data_copy":
				c.Write(stack[0], m.arg[stack[1]:stack[1]+stack[2]])
			case "msg_reply_data_append":
				m.reply = append(m.reply, c.Bytes(stack[0], stack[1])...)
			case "msg_reply":
				m.replied = true
			case "trap":
				return errors.New(string(c.Bytes(stack[0], stack[1])))
			default:
				if len(h.Results) > 0 {
					stack[0] = 0
				}
			}
			return nil
		}
	}
	return out
}

const realLimit = 20_000_000_000

func mustCall(tb testing.TB, i *Instance, export string, m *message) Outcome {
	tb.Helper()
	out := i.Call(export, &Call{Env: m, Limit: realLimit})
	if out.Trap != nil {
		tb.Fatalf("%s: %v", export, out.Trap)
	}
	return out
}

// motoko compiles the test's actor, or skips the test.
func motoko(tb testing.TB, gc string) []byte {
	tb.Helper()
	code, err := motokoModule(tb.Context(), tb.TempDir(), gc)
	if absent := (*absentError)(nil); errors.As(err, &absent) {
		tb.Skip(err)
	} else if err != nil {
		tb.Fatal(err)
	}
	return code
}

// absentError says which tool a machine lacks.
type absentError struct{ tool string }

func (e *absentError) Error() string { return e.tool + " is not installed" }

func motokoModule(ctx context.Context, tmp, gc string) ([]byte, error) {
	if _, err := os.Stat(filepath.Join("..", "..", "node_modules", "motoko")); err != nil {
		return nil, &absentError{"the npm package motoko"}
	}
	if _, err := exec.LookPath("node"); err != nil {
		return nil, &absentError{"Node.js"}
	}
	out := filepath.Join(tmp, "actor.wasm")
	args := []string{filepath.Join("testdata", "actor.mjs"), out}
	if gc != "" {
		args = append(args, gc)
	}
	if b, err := exec.CommandContext(ctx, "node", args...).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("the Motoko compiler: %w\n%s", err, b[max(0, len(b)-500):])
	}
	return os.ReadFile(out)
}

// install does what installing does: data, start, init.
func install(tb testing.TB, m *Module) *Instance {
	tb.Helper()
	return initialise(tb, instantiate(tb, m))
}

func initialise(tb testing.TB, i *Instance) *Instance {
	tb.Helper()
	if i.info.Start {
		if out := i.Start(&Call{Env: &message{}, Limit: realLimit}); out.Trap != nil {
			tb.Fatal("start: ", out.Trap)
		}
	}
	if i.info.Init {
		mustCall(tb, i, "canister_init", &message{arg: []byte("DIDL\x00\x00")})
	}
	return i
}

func nat(n uint64) []byte { return leb128.AppendUint([]byte("DIDL\x00\x01\x7d"), n) }

func TestMotokoActorsRun(t *testing.T) {
	for name, gc := range map[string]string{"64-bit memory and table": "", "32-bit": "classicOP"} {
		t.Run(name, func(t *testing.T) {
			code := motoko(t, gc)
			used := map[string][]uint64{}
			backends(t, func(t *testing.T, cfg EngineConfig) {
				cfg.Host = systemAPI()
				m := newTestModule(t, cfg, code)
				if m.Info().Memory64 != (gc == "") || len(m.Info().Methods) < 4 {
					t.Fatalf("64-bit %v, methods %v", m.Info().Memory64, m.Info().Methods)
				}
				i := install(t, m)
				for _, c := range []struct {
					method    string
					arg, want []byte
				}{
					{"update inc", []byte("DIDL\x00\x00"), nat(1)},
					{"update inc", []byte("DIDL\x00\x00"), nat(2)},
					{"update spin", nat(1000), nat(motokoSpin(1000))},
					{"update keep", nat(5000), nat(5000)},
					{"update keep", nat(1), nat(5001)},
					{"update collect", nat(300), nat(300*299/2 + 300)},
					{"query get", []byte("DIDL\x00\x00"), nat(2)},
				} {
					globals := i.Globals()
					msg := &message{arg: c.arg}
					out := mustCall(t, i, "canister_"+c.method, msg)
					used[c.method] = append(used[c.method], out.Instructions)
					if !msg.replied || !bytes.Equal(msg.reply, c.want) {
						t.Errorf("%s: reply %q, want %q", c.method, msg.reply, c.want)
					}
					if strings.HasPrefix(c.method, "query") {
						i.SetGlobals(globals) // as after every query
					}
				}
			})
			for method, counts := range used {
				if half := len(counts) / 2; !slices.Equal(counts[:half], counts[half:]) {
					t.Errorf("%s: the backends count %v", method, counts)
				}
			}
		})
	}
}

func motokoSpin(k uint64) uint64 {
	x := uint64(1)
	for i := range k {
		x = (x*31 + i) % 1000003
	}
	return x
}

func goCanister(tb testing.TB) []byte {
	tb.Helper()
	code, err := goModule()
	if err != nil {
		tb.Fatal(err)
	}
	return code
}

func goModule() ([]byte, error) { return link.Build(filepath.Join("testdata", "gocanister"), "") }

func TestGoCanistersRun(t *testing.T) {
	code := goCanister(t)
	i := install(t, newTestModule(t, EngineConfig{Host: systemAPI(), CacheDir: t.TempDir(), Workers: 2}, code))
	for n := range 20 {
		m := &message{}
		mustCall(t, i, "canister_update count", m)
		if want := fmt.Sprintf("call %d", n+1); string(m.reply) != want {
			t.Fatalf("reply %q, want %q", m.reply, want)
		}
	}
	m := &message{}
	first := mustCall(t, i, "canister_update work", m)
	if !strings.Contains(string(m.reply), "words, ") {
		t.Errorf("reply %q", m.reply)
	}
	t.Logf("%s: %d instructions, memory %d KiB", m.reply, first.Instructions, i.Size()>>10)
}

func TestCompiledCodeIsKept(t *testing.T) {
	dir := t.TempDir()
	code := meteredModule(`(call $two)`)
	for round := range 2 {
		i := newTestInstance(t, EngineConfig{CacheDir: dir}, code)
		if out := goTest(i); out.Trap != nil || out.Instructions != 7 {
			t.Errorf("round %d: %+v", round, out)
		}
	}
	files := 0
	if err := filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files++
		}
		return err
	}); err != nil || files != 1 {
		t.Errorf("%d files in the cache, want 1; %v", files, err)
	}
}
