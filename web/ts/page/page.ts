// The script of the gateway's own pages: the one that installs the service worker
// and the one that tells what was verified.

import { install } from "./install.ts";
import { showAccount } from "./verify.ts";

switch (document.body.dataset.page) {
  case "bootstrap":
    void install();
    break;
  case "verify":
    showAccount();
    break;
}
