package main

import (
	"maps"
	"slices"

	"portico/lightclient/principal"
)

// permission is what somebody may do.
type permission int

const (
	mayCommit permission = iota
	mayPrepare
	mayManagePermissions
	permissionCount
)

func (p permission) String() string {
	return [...]string{"Commit", "Prepare", "ManagePermissions"}[p]
}

func (c permissionCase) permission() permission {
	switch {
	case c.Commit:
		return mayCommit
	case c.Prepare:
		return mayPrepare
	default:
		return mayManagePermissions
	}
}

// permissions are the principals that have each permission.
type permissions [permissionCount]map[principal.ID]bool

func (p *permissions) grant(to principal.ID, what permission) {
	if p[what] == nil {
		p[what] = map[principal.ID]bool{}
	}
	p[what][to] = true
}

func (p *permissions) revoke(of principal.ID, what permission) { delete(p[what], of) }

// can reports whether id has a permission: who may commit may prepare.
func (p *permissions) can(id principal.ID, what permission) bool {
	return p[what][id] || what == mayPrepare && p[mayCommit][id]
}

func (p *permissions) list(what permission) []principal.ID {
	return slices.SortedFunc(maps.Keys(p[what]), principal.ID.Compare)
}

func (p *permissions) set(to *setPermissions) {
	*p = permissions{}
	for what, ids := range [permissionCount][]principal.ID{mayCommit: to.Commit, mayPrepare: to.Prepare, mayManagePermissions: to.ManagePermissions} {
		for _, id := range ids {
			p.grant(id, permission(what))
		}
	}
}

func (p *permissions) get() setPermissions {
	return setPermissions{p.list(mayPrepare), p.list(mayCommit), p.list(mayManagePermissions)}
}
