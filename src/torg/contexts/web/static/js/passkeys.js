// Passkeys: asks the device, and sends what it says. Pages work without it, by password and code.
async function post(path, body) {
  const answer = await fetch(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body), credentials: "same-origin" });
  const told = answer.status === 204 ? {} : await answer.json();
  if (!answer.ok) throw Object.assign(new Error(told.detail), { code: told.code });
  return told;
}

const challenges = {
  use: () => post("/api/v1/sessions/passkey/challenge", {}),
  second: (form) => post("/api/v1/sessions/second-factor/challenge", { ticket: form.elements.ticket.value }),
  prove: () => post("/api/v1/sessions/current/proof/challenge", {}),
};

async function show(form) {
  const { options, ticket } = await challenges[form.dataset.passkey](form);
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(JSON.parse(options));
  form.querySelector("[data-credential]").value = JSON.stringify(await navigator.credentials.get({ publicKey }));
  form.querySelector("[data-challenge]").value = ticket;
  form.submit();
}

async function add(form) {
  const { options, ticket } = await post("/api/v1/users/me/passkeys/challenge", {});
  const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(JSON.parse(options));
  const credential = JSON.stringify(await navigator.credentials.create({ publicKey }));
  await post("/api/v1/users/me/passkeys", { ticket, credential, name: form.elements.name.value });
  location.reload();
}

function say(form, error) {
  if (error.name === "NotAllowedError" || error.name === "AbortError") return; // they have changed their mind
  if (error.code === "session.reauthenticate") return location.reload(); // which asks them who they are
  const line = form.querySelector("[data-fault]");
  line.textContent = error.message;
  line.hidden = false;
}

const nameless = /^[\d.]+$|:/.test(location.hostname); // passkeys belong to names, not to numbers
const local = /^127\.|^\[::1\]$/.test(location.hostname);
if (nameless) {
  for (const note of document.querySelectorAll("[data-passkeys-nameless]")) {
    const line = note.querySelector(local ? "[data-local]" : "[data-remote]");
    if (!line) continue;
    note.hidden = line.hidden = false;
    const there = note.querySelector("a");
    there.host = `localhost:${location.port}`;
    there.textContent = there.origin;
  }
} else if (globalThis.PublicKeyCredential?.parseCreationOptionsFromJSON) {
  for (const form of document.querySelectorAll("[data-passkey]")) {
    form.hidden = false;
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      try {
        await (form.dataset.passkey === "add" ? add : show)(form);
      } catch (error) {
        say(form, error);
      }
    });
  }
  for (const note of document.querySelectorAll("[data-without-passkeys]")) note.hidden = true;
}
