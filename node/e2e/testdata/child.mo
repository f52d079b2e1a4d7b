// What a factory installs.
persistent actor class Child(start : Nat) {
  var value : Nat = start;
  public func add(n : Nat) : async Nat { value += n; value };
  public query func get() : async Nat { value };
};
