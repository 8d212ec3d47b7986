// What pages can do without: a menu on phones, keys, a question before what can't be undone, a session that lasts while a page is open.
"use strict";
document.documentElement.classList.add("js");

const menu = document.querySelector(".menu");
menu?.addEventListener("click", () => {
  const open = document.getElementById("nav").classList.toggle("open");
  menu.setAttribute("aria-expanded", String(open));
});

document.addEventListener("submit", (event) => {
  const question = event.target.dataset.ask;
  if (question && !window.confirm(question)) event.preventDefault();
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

setInterval(() => fetch("/renew", { method: "POST" }).catch(() => undefined), 10 * 60 * 1000);
