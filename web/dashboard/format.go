package dashboard

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// short is the beginning of a hash or an id, for tables.
func short(s string) string { return s[:min(len(s), 10)] }

// cycles is a decimal amount in words that are short: "2.998 T".
func cycles(decimal string) string {
	v, err := strconv.ParseFloat(decimal, 64)
	if err != nil {
		return decimal
	}
	for _, u := range []struct {
		name string
		size float64
	}{{"P", 1e15}, {"T", 1e12}, {"B", 1e9}, {"M", 1e6}, {"k", 1e3}} {
		if v >= u.size {
			// rounded down: nobody has more than they are shown
			return strconv.FormatFloat(math.Floor(v/u.size*1000)/1000, 'f', 3, 64) + " " + u.name
		}
	}
	return decimal
}

// known is a text about a replica that has answered, and a dash about one that has not.
func (r *Replica) known(text string) string {
	if r.Version == "" {
		return "–"
	}
	return text
}

func size(bytes uint64) string {
	const kib, mib, gib = 1 << 10, 1 << 20, 1 << 30
	switch {
	case bytes < kib:
		return fmt.Sprintf("%d B", bytes)
	case bytes < mib:
		return fmt.Sprintf("%.1f KiB", float64(bytes)/kib)
	case bytes < gib:
		return fmt.Sprintf("%.1f MiB", float64(bytes)/mib)
	default:
		return fmt.Sprintf("%.2f GiB", float64(bytes)/gib)
	}
}

func up(seconds int64) string {
	d := time.Duration(seconds) * time.Second
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", seconds)
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	default:
		return fmt.Sprintf("%d days", int(d.Hours()/24))
	}
}

// rate is a number a second.
func rate(v float64) string {
	if v >= 100 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'f', 1, 64)
}

// The size of the curve's picture; it is stretched to its place.
const (
	curveWidth  = 120.0
	curveHeight = 30.0
)

// curve is the line through rates, newest at the right, as points of SVG.
func curve(rates []float64) string {
	top := 1.0
	for _, v := range rates {
		top = max(top, v)
	}
	var b strings.Builder
	for i, v := range rates {
		x := curveWidth - float64(len(rates)-1-i)*curveWidth/(points-1)
		fmt.Fprintf(&b, "%.1f,%.1f ", x, curveHeight-1-v/top*(curveHeight-2))
	}
	return strings.TrimSpace(b.String())
}

// headline says in a sentence how the network is doing.
func headline(b beat) string {
	n := len(b.Replicas)
	switch {
	case b.Alive == 0:
		return "No replica answers."
	case b.Alive == n && n == 1:
		return "The replica runs."
	case b.Alive == n:
		return fmt.Sprintf("All %d replicas run.", n)
	case n-b.Alive <= (n-1)/3:
		return fmt.Sprintf("%d of %d replicas run. The network goes on without the others.", b.Alive, n)
	default:
		return fmt.Sprintf("%d of %d replicas run. That is too few: nothing is agreed on until others are back.", b.Alive, n)
	}
}

// mood is the class of the headline.
func mood(b beat) string {
	switch n := len(b.Replicas); {
	case b.Alive == n && n > 0:
		return "good"
	case n-b.Alive <= (n-1)/3:
		return "warn"
	default:
		return "bad"
	}
}

// yamlSnippet is how icp-cli is told of the network (its schema of icp.yaml, "networks").
func yamlSnippet(m model) string {
	return "networks:\n  - name: portico\n    mode: connected\n    url: " + m.Origin + "\n    root-key: " + m.RootKey +
		"\nenvironments:\n  - name: portico\n    network: portico"
}

func agentSnippet(m model) string {
	return "import { HttpAgent } from \"@icp-sdk/core/agent\";\n\nconst key = \"" + m.RootKey + "\";\nconst agent = await HttpAgent.create({\n  host: \"" + m.Origin +
		"\",\n  rootKey: Uint8Array.from(\n    key.match(/../g), (byte) => parseInt(byte, 16)),\n});"
}
