// Tells the shop's own statistics what is looked at, found and put into carts; not of people who ask not to be followed.
// What is sent outlives its page, and what nobody answers holds one of the few connections that a browser has for the shop: so there are few of those.
const MOST = 2, FORGOTTEN = 10_000; // unanswered; ms
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

/** Those of the last seconds that have had no answer, by when they were sent; also on the pages before this one. */
function unanswered() {
  try {
    return JSON.parse(sessionStorage.getItem("unanswered") ?? "[]").filter((sent) => Date.now() - sent < FORGOTTEN);
  } catch {
    return [];
  }
}

function newId() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function tell(kind, facts = {}) {
  const who = quiet || !globalThis.isSecureContext ? "" : visitor();
  const waiting = unanswered(), sent = Date.now();
  if (!who || waiting.length >= MOST) return;
  sessionStorage.setItem("unanswered", JSON.stringify([...waiting, sent]));
  const answered = () => sessionStorage.setItem("unanswered", JSON.stringify(unanswered().filter((one) => one !== sent)));
  const body = JSON.stringify({ events: [{ id: newId(), kind, visitor: who, ...facts }] });
  const headers = { "content-type": "application/json" };
  fetch("/api/v1/analytics/events", { method: "POST", headers, body, keepalive: true }).then(answered, () => {}); // who leaves the page hears of a failure
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
