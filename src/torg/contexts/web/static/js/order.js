// The order's page follows the order: each change of its status shows at once.
import { follow } from "./live.js";
import { refresh } from "./shop.js";

const SETTLED = 150; // ms: an order that rushes through its steps is drawn once
let timer;

const order = document.querySelector("#order[data-stream]");
if (order) {
  follow(order.dataset.stream, "order.status", (event) => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      const shown = document.querySelector("#order").dataset.status;
      const busy = document.querySelector("#order form :focus") !== null;
      if (event.status !== shown && !busy) refresh(location.href, ["#order"]);
    }, SETTLED);
  });
}
