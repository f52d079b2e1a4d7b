// An actor class: its argument comes with every installation.
persistent actor class Greeter(greeting : Text) {
  transient let words = greeting;
  var names : Text = "";
  public func meet(name : Text) : async Text { names #= name # "."; words # ", " # name };
  public query func met() : async (Text, Text) { (words, names) };
};
