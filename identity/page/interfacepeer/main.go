// Command interfacepeer lets the pages' view of the canister's interface be compared with
// the interface itself: ts/interface.test.mjs drives it. It reads a .did file from standard
// input and writes its definitions and methods as JSON. There a type is a string, a
// primitive's name, or an object of one field: {"ref": name}, {"opt": type}, {"vec": type},
// {"record": {field: type}} or {"variant": {case: type}}.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"portico/lightclient/candid"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "interfacepeer:", err)
		os.Exit(1)
	}
}

type method struct {
	Args    []any `json:"args"`
	Results []any `json:"results"`
	Query   bool  `json:"query"`
}

type description struct {
	Types   map[string]any    `json:"types"`
	Methods map[string]method `json:"methods"`
}

func run() error {
	source, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	did, err := candid.ParseDid(string(source))
	if err != nil {
		return err
	}
	service, ok := did.ServiceType()
	if !ok {
		return fmt.Errorf("there is no service")
	}
	d := description{map[string]any{}, map[string]method{}}
	for _, t := range did.Definitions {
		d.Types[t.Name] = describe(t.Type)
	}
	for _, m := range service.Methods {
		f, ok := candid.Resolve(m.Type).(*candid.FuncType)
		if !ok {
			return fmt.Errorf("%s is no function", m.Name)
		}
		d.Methods[m.Name] = method{arguments(f.Args), arguments(f.Results), f.Annotations&candid.Query != 0}
	}
	return json.NewEncoder(os.Stdout).Encode(d)
}

func arguments(list []candid.ArgType) []any {
	out := []any{}
	for _, a := range list {
		out = append(out, describe(a.Type))
	}
	return out
}

func describe(t candid.Type) any {
	switch t := t.(type) {
	case *candid.Named:
		return map[string]any{"ref": t.Name}
	case *candid.OptType:
		return map[string]any{"opt": describe(t.Elem)}
	case *candid.VecType:
		return map[string]any{"vec": describe(t.Elem)}
	case *candid.RecordType:
		return map[string]any{"record": fields(t.Fields)}
	case *candid.VariantType:
		return map[string]any{"variant": fields(t.Fields)}
	default:
		return candid.TypeText(t)
	}
}

func fields(list []candid.FieldType) map[string]any {
	out := map[string]any{}
	for _, f := range list {
		name := f.Name
		if name == "" {
			name = fmt.Sprint(f.ID)
		}
		out[name] = describe(f.Type)
	}
	return out
}
