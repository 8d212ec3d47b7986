// What pages can do without: a menu on phones, keys, a question before what can't be undone, a session that is renewed in time.
"use strict";
document.documentElement.classList.add("js");

const menu = document.querySelector(".menu");
menu?.addEventListener("click", () => {
  const open = document.getElementById("nav").classList.toggle("open");
  menu.setAttribute("aria-expanded", String(open));
});

// A page may have been open for longer than a session lasts: that is renewed before a form is sent, which would be lost otherwise.
const FRESH = 60 * 1000;
let renewedAt = Date.now();
document.addEventListener("submit", (event) => {
  const form = event.target, question = form.dataset.ask;
  if (event.submitter && form.dataset.asked !== "yes" && question && !window.confirm(question)) {
    event.preventDefault();
    return;
  }
  if (form.method !== "post" || Date.now() - renewedAt < FRESH) return;
  event.preventDefault();
  form.dataset.asked = "yes";
  const send = () => {
    renewedAt = Date.now();
    form.requestSubmit(event.submitter);
  };
  fetch("/renew", { method: "POST" }).then(send, send);
});

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select")) return;
  const search = document.querySelector('[data-key="/"]');
  if (event.key === "/" && search) {
    event.preventDefault();
    search.focus();
    return;
  }
  const reviews = [...document.querySelectorAll(".review")];
  if (!reviews.length) return;
  const now = document.activeElement.closest(".review");
  const at = reviews.indexOf(now);
  if (event.key === "j") reviews[Math.min(at + 1, reviews.length - 1)].focus();
  if (event.key === "k") reviews[Math.max(at - 1, 0)].focus();
  if (now && event.key === "a") now.querySelector('[value="approve"]')?.click();
  if (now && event.key === "r") {
    event.preventDefault();
    now.querySelector('[name="reason"]')?.focus();
  }
});

document.querySelectorAll(".decide [name=reason]").forEach((field) => {
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return; // a form's first button would approve
    event.preventDefault();
    field.form.querySelector('[value="reject"]').click();
  });
});
document.querySelector(".review")?.focus({ preventScroll: true });
