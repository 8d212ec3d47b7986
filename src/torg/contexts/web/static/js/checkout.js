// The checkout asks anew as soon as the city changes, and keeps what was filled in.
import { refresh } from "./shop.js";

const FIELDS = ["main"];

document.addEventListener("change", async (event) => {
  if (event.target.id !== "city") return;
  const form = event.target.form;
  const body = new URLSearchParams(new FormData(form));
  body.set("step", "quote");
  await refresh(form.action, FIELDS, { method: "POST", body });
});
