// New notifications count themselves on the bell, and are said once.
import { follow } from "./live.js";

follow("/api/v1/notifications/stream", "notification", (told) => {
  for (const badge of document.querySelectorAll("[data-unread]")) {
    badge.textContent = String(Number(badge.textContent) + 1);
    badge.hidden = false;
  }
  const said = document.createElement("p");
  said.className = "said";
  said.textContent = told.title;
  document.querySelector("#said").replaceChildren(said);
});
