package ic0

import (
	"slices"
	"strings"
	"unicode/utf8"

	"portico/node/wasm"
)

// maxEnvVarNameBytes is the longest name of an environment variable.
const maxEnvVarNameBytes = 128

// maxCertifiedDataBytes is the longest certified data.
const maxCertifiedDataBytes = 32

func selfFunctions() []entry {
	p, i32, i64 := wasm.Ptr, []wasm.ValueType{wasm.I32}, []wasm.ValueType{wasm.I64}
	out := blob("canister_self", all, func(m *machine) ([]byte, error) { return m.Self.Bytes(), nil })
	out = append(out, blob("subnet_self", all, func(m *machine) ([]byte, error) { return m.Subnet.Bytes(), nil })...)
	out = append(out, blob("root_key", replicated, func(m *machine) ([]byte, error) { return m.RootKey, nil })...)
	out = append(out, blob("data_certificate", Query|CompositeQuery, dataCertificate)...)
	return append(out,
		entry{name: "canister_status", results: i32, from: all, fn: func(m *machine, args []uint64) error { args[0] = uint64(m.Status); return nil }},
		entry{name: "canister_version", results: i64, from: all, fn: func(m *machine, args []uint64) error { args[0] = m.Version; return nil }},
		entry{name: "time", results: i64, from: all, fn: func(m *machine, args []uint64) error { args[0] = uint64(m.Time); return nil }},
		entry{name: "certified_data_set", params: []wasm.ValueType{p, p}, from: Init | PreUpgrade | Update | Reply | Reject | Task, fn: certifiedDataSet},
		entry{name: "data_certificate_present", results: i32, from: all, fn: dataCertificatePresent},
		entry{name: "global_timer_set", params: i64, results: i64, from: Init | PreUpgrade | Update | Reply | Reject | Cleanup | Task, fn: globalTimerSet},
		entry{name: "performance_counter", params: i32, results: i64, from: all | Start, fn: performanceCounter},
		entry{name: "is_controller", params: []wasm.ValueType{p, p}, results: i32, from: all | Start, fn: isController},
		entry{name: "in_replicated_execution", results: i32, from: all | Start, fn: inReplicatedExecution},
		entry{name: "env_var_count", results: []wasm.ValueType{p}, from: all, fn: func(m *machine, args []uint64) error { args[0] = uint64(len(m.EnvVars)); return nil }},
		entry{name: "env_var_name_size", params: []wasm.ValueType{p}, results: []wasm.ValueType{p}, from: all, fn: envVarNameSize},
		entry{name: "env_var_name_copy", params: []wasm.ValueType{p, p, p, p}, from: all, fn: envVarNameCopy},
		entry{name: "env_var_name_exists", params: []wasm.ValueType{p, p}, results: i32, from: all, fn: envVarNameExists},
		entry{name: "env_var_value_size", params: []wasm.ValueType{p, p}, results: []wasm.ValueType{p}, from: all, fn: envVarValueSize},
		entry{name: "env_var_value_copy", params: []wasm.ValueType{p, p, p, p, p}, from: all, fn: envVarValueCopy},
	)
}

func dataCertificate(m *machine) ([]byte, error) {
	if m.Certificate == nil {
		return nil, violation("ic0.data_certificate: there is no certificate in this execution")
	}
	return m.Certificate, nil
}

func dataCertificatePresent(m *machine, args []uint64) error {
	args[0] = truth(m.Certificate != nil)
	return nil
}

func truth(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

func certifiedDataSet(m *machine, args []uint64) error {
	if args[1] > maxCertifiedDataBytes {
		return violation("ic0.certified_data_set: certified data of %d bytes is larger than %d", args[1], maxCertifiedDataBytes)
	}
	b, err := m.from("ic0.certified_data_set", args[0], args[1])
	if err != nil {
		return err
	}
	m.CertifiedData, m.DataSet = append([]byte{}, b...), true
	return nil
}

func globalTimerSet(m *machine, args []uint64) error {
	args[0], m.Timer = m.Timer, args[0]
	return nil
}

func performanceCounter(m *machine, args []uint64) error {
	switch args[0] {
	case 0:
		args[0] = m.caller.Instructions()
	case 1:
		args[0] = m.ContextInstructions + m.caller.Instructions()
	default:
		return violation("ic0.performance_counter: there is no counter of type %d", args[0])
	}
	return nil
}

func isController(m *machine, args []uint64) error {
	id, err := m.principalAt("ic0.is_controller", args[0], args[1])
	if err != nil {
		return err
	}
	args[0] = truth(slices.Contains(m.Controllers, id))
	return nil
}

func inReplicatedExecution(m *machine, args []uint64) error {
	args[0] = truth(m.Context.Replicated())
	return nil
}

func (m *machine) envVarAt(what string, index uint64) (EnvVar, error) {
	if index >= uint64(len(m.EnvVars)) {
		return EnvVar{}, violation("%s: index %d is out of bounds: there are %d environment variables", what, index, len(m.EnvVars))
	}
	return m.EnvVars[index], nil
}

func envVarNameSize(m *machine, args []uint64) error {
	v, err := m.envVarAt("ic0.env_var_name_size", args[0])
	args[0] = uint64(len(v.Name))
	return err
}

func envVarNameCopy(m *machine, args []uint64) error {
	v, err := m.envVarAt("ic0.env_var_name_copy", args[0])
	if err != nil {
		return err
	}
	return m.copyOut("ic0.env_var_name_copy", []byte(v.Name), args[1:])
}

// envVarNamed finds the variable whose name is in the canister's memory.
func (m *machine) envVarNamed(what string, src, size uint64) (v EnvVar, ok bool, err error) {
	if size > maxEnvVarNameBytes {
		return EnvVar{}, false, violation("%s: a name of %d bytes is longer than %d", what, size, maxEnvVarNameBytes)
	}
	b, err := m.from(what, src, size)
	if err != nil {
		return EnvVar{}, false, err
	}
	if !utf8.Valid(b) {
		return EnvVar{}, false, violation("%s: the name is not UTF-8", what)
	}
	i, ok := slices.BinarySearchFunc(m.EnvVars, string(b), func(v EnvVar, name string) int { return strings.Compare(v.Name, name) })
	if !ok {
		return EnvVar{}, false, nil
	}
	return m.EnvVars[i], true, nil
}

func envVarNameExists(m *machine, args []uint64) error {
	_, ok, err := m.envVarNamed("ic0.env_var_name_exists", args[0], args[1])
	args[0] = truth(ok)
	return err
}

func (m *machine) envVarValue(what string, src, size uint64) ([]byte, error) {
	v, ok, err := m.envVarNamed(what, src, size)
	if err == nil && !ok {
		err = violation("%s: there is no environment variable of that name", what)
	}
	return []byte(v.Value), err
}

func envVarValueSize(m *machine, args []uint64) error {
	v, err := m.envVarValue("ic0.env_var_value_size", args[0], args[1])
	args[0] = uint64(len(v))
	return err
}

func envVarValueCopy(m *machine, args []uint64) error {
	v, err := m.envVarValue("ic0.env_var_value_copy", args[0], args[1])
	if err != nil {
		return err
	}
	return m.copyOut("ic0.env_var_value_copy", v, args[2:])
}
