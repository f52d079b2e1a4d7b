// The page on which people create an identity and look after it.

import { onDo, show } from "./dom.ts";
import { entrance } from "./entrance.ts";

// Dapps that speak the older protocol open this page with a fragment.
if (location.hash === "#authorize") location.replace("/authorize");

const door = await entrance(async (session) => {
  const { manage } = await import("./manage.ts");
  await manage(door, session);
});
onDo(door.deeds);
door.refresh();
show(location.pathname === "/recover" ? "recover" : "start");
