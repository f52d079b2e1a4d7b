package conformance

import (
	"fmt"
	"strings"

	"portico/lightclient/hashtree"
	u "portico/node/conformance/universal"
	"portico/node/wasm/wat"
)

// limits of modules (interface specification, "Canister module format").
const (
	maxSectionBytes = 1 << 20
	maxNameBytes    = 20_000
	maxSections     = 16
	maxMethods      = 1_000
	maxFunctions    = 50_000
	maxGlobals      = 1_000
)

// module is a Wasm module of fields in text form.
func (c *check) wasm(fields ...string) []byte {
	c.Helper()
	b, err := wat.Assemble("(module " + strings.Join(fields, "\n") + ")")
	c.must(err)
	return b
}

// times repeats fields that are numbered.
func times(n int, format string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format+"\n", i)
	}
	return b.String()
}

func longMethod(bytes int) string {
	return fmt.Sprintf(`(func (export "canister_query %s"))`, strings.Repeat("x", bytes))
}

func bigSections(bytes int) string {
	return u.Section("icp:public a", strings.Repeat("a", bytes/2)) + u.Section("icp:private b", strings.Repeat("b", bytes-bytes/2))
}

// acceptedModules are fields of modules by what is special about them.
func acceptedModules() map[string]string {
	return map[string]string{
		"nothing at all":                    "",
		"a custom section with empty name":  u.Section("", "content"),
		"a public section with empty name":  u.Section("icp:public ", "content"),
		"custom sections near 1 MiB":        bigSections(maxSectionBytes - 100),
		"a long method name":                longMethod(maxNameBytes),
		"sixteen exported custom sections":  times(maxSections, `(custom "icp:public name%d" "x")`),
		"a thousand methods":                times(maxMethods, `(func (export "canister_query name%d"))`),
		"fifty thousand functions":          times(maxFunctions, `(func $f%d)`),
		"a thousand globals":                times(maxGlobals, `(global $g%d i32 (i32.const 0))`),
		"a function of the system API":      `(import "ic0" "msg_reply" (func))`,
		"exports that are no entry points":  `(func (export "helper") (param i32) (result i32) (local.get 0))`,
		"an unknown export without the dot": `(func (export "canisterinit"))`,
	}
}

// refusedModules are fields of modules by id and what is wrong with them.
func refusedModules() map[string]string {
	refused := map[string]string{
		"C2 an exported section twice, public and private": u.Section("icp:public x", "") + u.Section("icp:private x", ""),
		"C2 an exported section twice, public":             u.Section("icp:public x", "") + u.Section("icp:public x", ""),
		"C2 an unknown entry point":                        `(func (export "canister_something"))`,
		"C2 an unknown icp section":                        u.Section("icp:something x", ""),
		"C2 a public section without a space":              u.Section("icp:public", ""),
		"C2 an unknown function of the system API":         `(import "ic0" "my_own" (func))`,
		"C2 an unknown module":                             `(import "other" "f" (func))`,
		"C2 a function of the system API with wrong type":  `(import "ic0" "msg_reply" (func (param i32)))`,
		"C4 sections of more than 1 MiB":                   bigSections(maxSectionBytes + 1),
		"C4 a method name that is too long":                longMethod(maxNameBytes + 1),
		"C4 seventeen exported custom sections":            times(maxSections+1, `(custom "icp:public name%d" "x")`),
		"C4 a thousand and one methods":                    times(maxMethods+1, `(func (export "canister_query name%d"))`),
		"C4 more than fifty thousand functions":            times(maxFunctions+1, `(func $f%d)`),
		"C4 a thousand and one globals":                    times(maxGlobals+1, `(global $g%d i32 (i32.const 0))`),
		"C4 one name as update and query":                  `(func (export "canister_update x")) (func (export "canister_query x"))`,
		"C4 one name as update and composite query":        `(func (export "canister_update x")) (func (export "canister_composite_query x"))`,
		"C4 one name as query and composite query":         `(func (export "canister_query x")) (func (export "canister_composite_query x"))`,
		"C4 one name as all three":                         `(func (export "canister_query x")) (func (export "canister_update x")) (func (export "canister_composite_query x"))`,
	}
	for _, entry := range []string{"canister_init", "canister_inspect_message", "canister_heartbeat", "canister_global_timer", "canister_on_low_wasm_memory", "canister_pre_upgrade", "canister_post_upgrade", "canister_query x", "canister_update x", "canister_composite_query x"} {
		refused["C3 "+entry+" with a parameter"] = fmt.Sprintf(`(func (export %q) (param i32))`, entry)
		refused["C3 "+entry+" with a result"] = fmt.Sprintf(`(func (export %q) (result i32) (i32.const 0))`, entry)
	}
	return refused
}

func sectionC(s *section) {
	for name, fields := range acceptedModules() {
		s.check("C1 accepted: "+name, func(c *check) {
			c.ok("install", c.empty().deploy(installMode(), c.wasm(fields)))
		})
	}
	for name, fields := range refusedModules() {
		id, what, _ := strings.Cut(name, " ")
		s.check(id+" refused: "+what, func(c *check) {
			c.rejects("install", c.empty().deploy(installMode(), c.wasm(fields)), 5)
		})
	}
	s.check("C2 refused: what is no Wasm", func(c *check) {
		c.rejects("install", c.empty().deploy(installMode(), []byte("\x00asm\x02\x00\x00\x00")), 5)
		c.rejects("install", c.empty().deploy(installMode(), nil), 5)
	})
	for start, want := range map[string]byte{"(start $set)": 4, "": 0} {
		s.check(fmt.Sprintf("C5 a start function is executed if there is one: %q", start), func(c *check) {
			can := c.installModule(c.wasm(`(import "ic0" "msg_reply" (func $reply)) (import "ic0" "msg_reply_data_append" (func $append (param i32 i32)))
				(memory 1) (func $set (i32.store8 (i32.const 0) (i32.const 4)))
				(func (export "canister_query read") (call $append (i32.const 0) (i32.const 1)) (call $reply))`, start))
			c.replies("read", c.query(can.owner, can.message("read", nil)), []byte{want})
		})
	}
	for _, name := range []string{"", " ", "two words", " leading and trailing "} {
		s.check(fmt.Sprintf("C6 methods with the name %q can be called", name), func(c *check) {
			can := c.installWith([]string{u.Method("canister_update " + name)})
			c.replies("call", c.call(can.owner, can.message(name, u.Reply(u.Text("x")))), []byte("x"))
			can = c.installWith([]string{u.Method("canister_query " + name)})
			c.replies("query", c.query(can.owner, can.message(name, u.Reply(u.Text("x")))), []byte("x"))
		})
		s.check(fmt.Sprintf("C7 metadata with the name %q can be read", name), func(c *check) {
			can := c.installWith([]string{u.Section("icp:public "+name, "content")})
			got, status := can.lookup(can.owner, can.id, "canister", can.id.Raw(), "metadata", name)
			if status != hashtree.Found || string(got) != "content" {
				c.Errorf("metadata %q is %v %q", name, status, got)
			}
		})
	}
}
