// Counts visits over HTTP: every request is an update, since queries certify nothing.
import Prim "mo:⛔";

persistent actor {
  type Request = { method : Text; url : Text; headers : [(Text, Text)]; body : Blob };
  type Response = { status_code : Nat16; headers : [(Text, Text)]; body : Blob; upgrade : ?Bool };
  var visits : Nat = 0;

  public query func http_request(_ : Request) : async Response {
    { status_code = 204; headers = []; body = ""; upgrade = ?true }
  };
  public func http_request_update(r : Request) : async Response {
    if (r.method == "POST") visits += 1;
    { status_code = 200; headers = [("content-type", "text/plain")]; body = Prim.encodeUtf8(debug_show visits); upgrade = null }
  };
};
