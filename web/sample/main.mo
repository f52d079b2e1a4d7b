// The backend of the sample dapp: a counter that outlives upgrades. The network
// certifies its value, so that a page can check what one node says of it.
import Prim "mo:prim";

persistent actor {
  var count : Nat = 0;

  func certify() { Prim.setCertifiedData(to_candid (count)) };
  certify();

  // Whoever raises the counter is known by their principal: that of a key in their
  // browser, or the one that Internet Identity gives them on this page's origin.
  type Person = { who : Principal; var times : Nat };
  type People = ?{ person : Person; others : People };
  var people : People = null;
  var known : Nat = 0;
  transient let mostPeople = 10_000;

  func find(who : Principal) : ?Person {
    var at = people;
    loop {
      switch at {
        case null { return null };
        case (?{ person; others }) {
          if (person.who == who) return ?person;
          at := others
        }
      }
    }
  };

  public shared ({ caller }) func increment() : async Nat {
    count += 1;
    certify();
    switch (find(caller)) {
      case (?person) { person.times += 1 };
      case null {
        if (known < mostPeople) {
          known += 1;
          people := ?{ person = { who = caller; var times = 1 }; others = people }
        }
      }
    };
    count
  };

  public query func value() : async { value : Nat; certificate : ?Blob } {
    { value = count; certificate = Prim.getCertificate() }
  };

  // How often the caller has raised the counter.
  public shared query ({ caller }) func mine() : async Nat {
    switch (find(caller)) {
      case (?person) { person.times };
      case null { 0 }
    }
  };
};
