// What makes the pages quicker to use. Every one of these forms and links works without it.
document.documentElement.classList.add("scripted");

const enhanced = new WeakSet();

/** Reads a page and puts parts of it, by selector, in place of those on this page. */
export async function refresh(address, selectors, options = {}) {
  const answer = await fetch(address, { headers: { accept: "text/html" }, credentials: "same-origin", ...options });
  if (!answer.headers.get("content-type")?.startsWith("text/html")) throw new Error(`${answer.status} is no page`);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const selector of selectors) {
    const fresh = [...page.querySelectorAll(selector)];
    [...document.querySelectorAll(selector)].forEach((old, index) => {
      if (fresh[index]) old.replaceWith(document.importNode(fresh[index], true));
    });
  }
  localTimes();
  return { answer, page };
}

/** A form that stays on its page: sends itself in the background and shows what has changed. */
async function stay(form, submitter) {
  const body = new URLSearchParams(new FormData(form, submitter));
  const part = form.dataset.stay;
  const { answer } = await refresh(form.action, ["#said", "[data-cart-count]", ...(part ? [part] : [])], { method: "POST", body });
  if (!part && !answer.ok) location.href = "/cart";
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.matches("[data-stay]") && !enhanced.has(form)) {
    event.preventDefault();
    enhanced.add(form);
    const focused = document.activeElement?.id;
    const button = event.submitter;
    button?.setAttribute("aria-busy", "true");
    stay(form, button)
      .catch(() => form.submit())
      .finally(() => {
        enhanced.delete(form);
        button?.removeAttribute("aria-busy");
        if (focused && !document.activeElement?.id) document.getElementById(focused)?.focus({ preventScroll: true });
      });
  } else if (form.matches("[data-once]")) {
    // A second click sends nothing: the button is put to rest once the first one is on its way.
    setTimeout(() => event.submitter?.setAttribute("disabled", ""), 0);
  }
});

document.addEventListener("change", (event) => {
  const form = event.target.form;
  if (!form) return;
  if (form.matches("[data-filters]") && event.target.type !== "text") form.requestSubmit();
  if (form.matches("[data-stay]") && event.target.matches(".line-form .quantity") && event.target.checkValidity()) form.requestSubmit();
});

// Empty filters don't belong into an address.
document.addEventListener("formdata", (event) => {
  if (!event.target.matches("[data-filters], .search, .hero-search, .period")) return;
  for (const [name, value] of [...event.formData]) if (value === "") event.formData.delete(name);
});

document.addEventListener("click", async (event) => {
  const more = event.target.closest?.("[data-more]");
  if (!more || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  more.setAttribute("aria-busy", "true");
  try {
    const answer = await fetch(more.href, { credentials: "same-origin" });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const list = document.querySelector(more.dataset.more);
    const added = [...page.querySelector(more.dataset.more).children].map((one) => document.importNode(one, true));
    list.append(...added);
    localTimes();
    const next = page.querySelector("[data-more]");
    if (next) more.replaceWith(document.importNode(next, true));
    else more.closest(".more").remove();
    added[0]?.querySelector("a")?.focus({ preventScroll: true });
  } catch {
    location.href = more.href;
  }
});

/** Times stand on the page in UTC; people want their own. */
export function localTimes() {
  const write = new Intl.DateTimeFormat(document.documentElement.lang === "en" ? "en-GB" : "ru", { dateStyle: "medium", timeStyle: "short" });
  for (const time of document.querySelectorAll("time.small[datetime]:not([data-local])")) {
    time.textContent = write.format(new Date(time.dateTime));
    time.dataset.local = "";
  }
}
localTimes();
addEventListener("pageshow", () => document.querySelectorAll("[data-once] [disabled]").forEach((one) => one.removeAttribute("disabled")));
