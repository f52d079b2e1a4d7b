package sync

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// localFile is a file that is to be an asset.
type localFile struct {
	key         string // "/" and the path
	path        string // from the directory's top
	size        int64
	contentType string
	props       properties
}

// scan lists the files of a directory in the order of their keys. Names that begin
// with a dot are left out, .well-known excepted, unless a rule says "ignore: false";
// links are not followed.
func scan(files fs.FS) (found []*localFile, warnings []string, err error) {
	rules := map[string]*ruleSet{}
	err = fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		above := rules[path.Dir(name)]
		props := above.of(name)
		if name != "." && !included(entry, &props) {
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		switch {
		case entry.IsDir():
			rules[name], err = loadRules(files, name, above)
			return err
		case entry.Type()&fs.ModeSymlink != 0:
			warnings = append(warnings, name+" is a symbolic link and left out")
			return nil
		case !entry.Type().IsRegular() || entry.Name() == rulesFile || entry.Name() == rulesFileJSON:
			return nil
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		found = append(found, &localFile{key: "/" + name, path: name, size: info.Size(), contentType: contentType(name), props: props})
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	slices.SortFunc(found, func(a, b *localFile) int { return strings.Compare(a.key, b.key) })
	seen := map[*ruleSet]bool{}
	for _, set := range rules {
		if !seen[set] {
			seen[set] = true
			warnings = append(warnings, set.unused()...)
		}
	}
	slices.Sort(warnings)
	policies, err := policyWarnings(found)
	return found, append(warnings, policies...), err
}

func included(entry fs.DirEntry, p *properties) bool {
	if p.ignore != nil {
		return !*p.ignore
	}
	return !strings.HasPrefix(entry.Name(), ".") || entry.IsDir() && entry.Name() == ".well-known"
}

// policyWarnings tells what to think about the headers of security. Files that claim
// to be hardened and have nothing beyond the standard are an error.
func policyWarnings(files []*localFile) (warnings []string, err error) {
	var without, standard, soft []string
	for _, f := range files {
		switch {
		case f.props.policy == hardenedPolicy && len(f.props.headers) == 0:
			soft = append(soft, f.key)
		case f.props.withoutWarning:
		case f.props.policy == noPolicy:
			without = append(without, f.key)
		case f.props.policy == standardPolicy:
			standard = append(standard, f.key)
		}
	}
	if len(soft) > 0 {
		return nil, fmt.Errorf(`security_policy is "hardened", but no header of the rules hardens anything: %s`, some(soft))
	}
	silence := `; "disable_security_policy_warning": true in a rule ends this warning`
	if len(without) > 0 {
		warnings = append(warnings, fmt.Sprintf(`%d of %d files have no security_policy (%s); a rule such as {"match": "**/*", "security_policy": "standard"} gives one`, len(without), len(files), some(without))+silence)
	}
	if len(standard) > 0 {
		warnings = append(warnings, fmt.Sprintf(`%d of %d files have the standard security_policy, which works for most sites and can be hardened (%s)`, len(standard), len(files), some(standard))+silence)
	}
	return warnings, nil
}

// some names the first few of a list.
func some(list []string) string {
	const few = 3
	if len(list) <= few {
		return strings.Join(list, ", ")
	}
	return strings.Join(list[:few], ", ") + fmt.Sprintf(" and %d more", len(list)-few)
}
