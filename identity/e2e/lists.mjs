// A canister whose list of alternative origins tests can write, and forge.

import { Actor } from "@icp-sdk/core/agent";
import { motoko } from "../../node/e2e/network.mjs";

const source = `
persistent actor {
  type Request = { method : Text; url : Text; headers : [(Text, Text)]; body : Blob };
  type Response = { status_code : Nat16; headers : [(Text, Text)]; body : Blob; upgrade : ?Bool };
  var status : Nat16 = 404;
  var headers : [(Text, Text)] = [];
  var body : Blob = "";
  var certified = true;
  public func say(s : Nat16, h : [(Text, Text)], b : Blob, c : Bool) : async () { status := s; headers := h; body := b; certified := c };
  public query func http_request(_ : Request) : async Response {
    if (certified) { { status_code = 200; headers = []; body = ""; upgrade = ?true } }
    else { { status_code = status; headers; body; upgrade = null } };
  };
  // What an update call answers is certified, whatever it is.
  public func http_request_update(_ : Request) : async Response { { status_code = status; headers; body; upgrade = null } };
};
`;
const service = ({ IDL }) => IDL.Service({ say: IDL.Func([IDL.Nat16, IDL.Vec(IDL.Tuple(IDL.Text, IDL.Text)), IDL.Vec(IDL.Nat8), IDL.Bool], [], []) });

export class Lists {
  static async install(network, agent) {
    const lists = new Lists();
    const canisterId = await network.install(agent, motoko(source));
    lists.actor = Actor.createActor(service, { agent, canisterId });
    lists.origin = `http://${canisterId}.localhost:${network.status.gateway_port}`;
    return lists;
  }

  /** Answers with these origins. */
  allow(...alternativeOrigins) {
    return this.say(200, [["content-type", "application/json"]], JSON.stringify({ alternativeOrigins }));
  }

  say(status, headers, body, certified = true) {
    return this.actor.say(status, headers, Buffer.from(body), certified);
  }
}
