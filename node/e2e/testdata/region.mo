// Stable memory through regions.
import Prim "mo:⛔";
import Region "mo:core/Region";

persistent actor {
  let log = Region.new();
  let index = Region.new();
  var end : Nat64 = 0;
  var entries : Nat64 = 0;

  func room(region : Region.Region, bytes : Nat64) {
    let pages = (bytes + 65535) / 65536;
    let have = Region.size(region);
    if (have < pages) ignore Region.grow(region, pages - have);
  };

  public func append(line : Blob) : async Nat64 {
    let size = Prim.natToNat64(line.size());
    room(log, end + size);
    Region.storeBlob(log, end, line);
    end += size;
    room(index, (entries + 1) * 8);
    Region.storeNat64(index, entries * 8, end);
    entries += 1;
    entries
  };

  public query func read(entry : Nat64) : async Blob {
    let from = if (entry == 0) 0 : Nat64 else Region.loadNat64(index, entry * 8 - 8);
    Region.loadBlob(log, from, Prim.nat64ToNat(Region.loadNat64(index, entry * 8) - from))
  };

  public query func size() : async Nat64 { entries };
};
