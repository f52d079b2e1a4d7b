// The backend of the sample dapp: a counter that outlives upgrades. The network
// certifies its value, so that a page can check what one node says of it.
import Prim "mo:prim";

persistent actor {
  var count : Nat = 0;

  func certify() { Prim.setCertifiedData(to_candid (count)) };
  certify();

  public func increment() : async Nat {
    count += 1;
    certify();
    count
  };

  public query func value() : async { value : Nat; certificate : ?Blob } {
    { value = count; certificate = Prim.getCertificate() }
  };
};
