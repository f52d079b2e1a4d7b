package conformance

import (
	"strings"

	"portico/lightclient/envelope"
	"portico/lightclient/hashtree"
	"portico/lightclient/principal"
	u "portico/node/conformance/universal"
)

func sectionL(s *section) {
	s.check("L1 canister_self is the canister's id", func(c *check) {
		can := c.shared(c)
		c.replies("update", can.update(u.Reply(u.Self())), can.id.Bytes())
		c.replies("query", can.ask(u.Reply(u.Self())), can.id.Bytes())
	})
	for _, wrong := range []struct {
		kind envelope.Kind
		url  string
	}{
		{envelope.Call, "query"},
		{envelope.Query, "call"},
		{envelope.Query, "read_state"},
		{envelope.ReadState, "query"},
		{envelope.ReadState, "call"},
		{envelope.Call, "read_state"},
	} {
		for _, version := range []string{"v2", "v3", "v4"} {
			if version == "v4" && wrong.url != "call" {
				continue // only calls have a fourth version
			}
			s.check("L2 a "+wrong.kind.String()+" request at "+version+" "+wrong.url+" is refused", func(c *check) {
				can := c.shared(c)
				r := c.raw(wrong.kind, can.id, u.Reply(u.Text("")))
				r.path = "/api/" + version + "/canister/" + can.id.String() + "/" + wrong.url
				c.refused("signed", r.signed(c, can.owner).post(c))
			})
		}
	}
	kinds := []envelope.Kind{envelope.Call, envelope.Query, envelope.ReadState}
	for _, kind := range kinds {
		request := func(c *check) (*canister, raw) {
			can := c.shared(c)
			r := c.raw(kind, can.id, u.Reply(u.Text("")))
			if kind == envelope.ReadState {
				r = r.paths(hashtree.Path{[]byte("canister"), can.id.Bytes(), []byte("controllers")})
			}
			return can, r
		}
		name := kind.String()
		s.check("L3 the effective canister id must be that of the "+name, func(c *check) {
			can, r := request(c)
			other := c.empty()
			c.refused("another canister", r.at(other.id.String()).signed(c, can.owner).post(c))
			c.ok("the canister itself", r.signed(c, can.owner).post(c))
		})
		s.check("L4 malformed effective ids are refused: "+name, func(c *check) {
			can, r := request(c)
			text := can.id.String()
			for _, id := range []string{"nonsense", strings.ReplaceAll(text, "-", ""), strings.ToUpper(text), text + "-", "a" + text[1:]} {
				c.refused(id, r.at(id).signed(c, can.owner).post(c))
			}
		})
		s.check("L5 the management canister as effective id is refused: "+name, func(c *check) {
			can, r := request(c)
			c.refused("aaaaa-aa", r.at(principal.ID{}.String()).signed(c, can.owner).post(c))
		})
	}
	s.check("L3 management calls go to the canister that they are about", func(c *check) {
		can, other := c.empty(), c.empty()
		c.refused("another canister's id", can.manage(can.owner, other.id, "canister_status", canisterArg{can.id}))
		c.refused("the management canister's id", can.manage(can.owner, principal.Anonymous(), "canister_status", canisterArg{can.id}))
		c.ok("its own id", can.control("canister_status"))
	})
}
