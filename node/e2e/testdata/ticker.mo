// Timers of the core library, one that repeats and is cancelled among them.
import Timer "mo:core/Timer";

persistent actor {
  var ticks : Nat = 0;
  transient var repeating : Timer.TimerId = 0;

  public func run(n : Nat) : async () {
    let end = ticks + n;
    repeating := Timer.recurringTimer<system>(#milliseconds 100, func() : async () {
      ticks += 1;
      if (ticks >= end) Timer.cancelTimer(repeating);
    });
  };

  public query func count() : async Nat { ticks };
};
