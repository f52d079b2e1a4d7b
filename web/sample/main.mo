// The backend of the sample dapp: a counter that outlives upgrades.
persistent actor {
  var count : Nat = 0;

  public func increment() : async Nat {
    count += 1;
    count
  };

  public query func value() : async Nat { count };
};
