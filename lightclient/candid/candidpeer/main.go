// Command candidpeer lets other implementations of Candid be compared with ours:
// candid.test.mjs drives it. Each line of its input is a .did file on one
// line whose service has the wanted types as its init arguments, a tab, and a
// message in hexadecimal. It answers each with a line: "ok", a tab and the
// values encoded again at the wanted types, or what kind of error it was, a tab and the error.
package main

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"

	"portico/lightclient/candid"
)

func main() {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 64<<20)
	out := bufio.NewWriter(os.Stdout)
	for in.Scan() {
		did, message, _ := strings.Cut(in.Text(), "\t")
		again, err := recode(did, message)
		if err != nil {
			fmt.Fprintf(out, "%s\t%v\n", kind(err), err)
		} else {
			fmt.Fprintf(out, "ok\t%x\n", again)
		}
	}
	if err := errors.Join(in.Err(), out.Flush()); err != nil {
		fmt.Fprintln(os.Stderr, "candidpeer:", err)
		os.Exit(1)
	}
}

func recode(did, message string) ([]byte, error) {
	parsed, err := candid.ParseDid(did)
	if err != nil {
		return nil, err
	}
	b, err := hex.DecodeString(message)
	if err != nil {
		return nil, err
	}
	types := make([]candid.Type, len(parsed.Init))
	for i, a := range parsed.Init {
		types[i] = a.Type
	}
	values, err := candid.Decode(b, types...)
	if err != nil {
		return nil, err
	}
	return candid.Encode(types, values)
}

func kind(err error) string {
	switch err.(type) {
	case *candid.MalformedError:
		return "malformed"
	case *candid.MismatchError:
		return "mismatch"
	case *candid.LimitError:
		return "limit"
	}
	return "failed"
}
