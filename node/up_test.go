package main

import (
	"slices"
	"strings"
	"testing"

	"portico/lightclient/principal"
)

func TestFlagsOfNewerToolsAreIgnoredAndOthersRefused(t *testing.T) {
	launcher := strings.Fields("--interface-version 1.1.0 --state-dir s --bind 127.0.0.1 --gateway-port 18411 --status-dir d --ii --domain=localhost --subnet=application --artificial-delay-ms=5 --subnet-admin=2vxsx-fae --subnet-admin aaaaa-aa --verbose")
	n := new(network)
	if err := parse(n.flags(), knownArgs(n.flags(), launcher)); err != nil {
		t.Fatal(err)
	}
	if n.stateDir != "s" || n.gatewayPort != 18411 || !n.ii || !slices.Equal(n.domains, list{"localhost"}) || n.delayMillis != 5 || !slices.Equal(n.admins, principals{principal.Anonymous(), {}}) {
		t.Errorf("the launcher's flags were read as %+v", n)
	}
	newer := []string{"--interface-version", "1.2.0", "--something-new=1", "--state-dir", "t"}
	n = new(network)
	if err := parse(n.flags(), knownArgs(n.flags(), newer)); err != nil || n.stateDir != "t" {
		t.Errorf("flags of a newer tool: %v, state in %q", err, n.stateDir)
	}
	n = new(network)
	flags := n.flags()
	flags.SetOutput(new(strings.Builder))
	if err := parse(flags, knownArgs(flags, []string{"--interface-version", "1.1.0", "--something-new=1"})); err == nil {
		t.Error("a flag that nobody knows was accepted")
	}
}

func TestArgumentsThatAreNoFlagsAreRefused(t *testing.T) {
	n := new(network)
	if err := parse(n.flags(), []string{"start"}); err == nil || !strings.Contains(err.Error(), `"start"`) {
		t.Errorf("error %v, want one that names the argument", err)
	}
}
