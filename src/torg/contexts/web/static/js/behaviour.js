// Tells the shop's own statistics what is looked at, found and put into carts; not of people who ask not to be followed.
const PATIENCE = 3000; // ms: what nobody answers must not hold the few connections that a browser has for the shop
const quiet = navigator.globalPrivacyControl || navigator.doNotTrack === "1";

function visitor() {
  try {
    const known = localStorage.getItem("visitor") ?? crypto.randomUUID();
    localStorage.setItem("visitor", known);
    return known;
  } catch {
    return ""; // storage is closed: nobody is followed
  }
}

function newId() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function tell(kind, facts = {}) {
  const who = quiet || !globalThis.isSecureContext ? "" : visitor();
  if (!who) return;
  const body = JSON.stringify({ events: [{ id: newId(), kind, visitor: who, ...facts }] });
  const headers = { "content-type": "application/json" };
  fetch("/api/v1/analytics/events", { method: "POST", headers, body, keepalive: true, signal: AbortSignal.timeout(PATIENCE) }).catch(() => {});
}

const product = document.querySelector("meta[name=torg-product]")?.content;
const query = location.pathname === "/search" && new URLSearchParams(location.search).get("query");
if (product) tell("view", { product_id: product });
if (query) tell("search", { query: query.slice(0, 200) });
if (location.pathname === "/checkout") tell("checkout");

document.addEventListener("click", (event) => {
  const card = event.target.closest?.(".card-link");
  if (card) tell("click", { product_id: decodeURIComponent(card.pathname.split("/").pop()) });
});
document.addEventListener("submit", (event) => {
  if (event.target.matches('form[action="/cart/items"]')) tell("cart", { product_id: event.target.elements.product_id.value });
});
