// Suggestions below the search field, after the ARIA pattern "editable combobox with list autocomplete".
const WAIT = 120; // ms of quiet before asking
const PATIENCE = 3000; // ms for an answer
let lists = 0;

for (const form of document.querySelectorAll("[data-suggest]")) {
  const input = form.querySelector("input[type=search]");
  const list = document.createElement("ul");
  list.id = `suggestions-${++lists}`;
  list.className = "suggestions";
  list.hidden = true;
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-label", input.placeholder);
  form.append(list);
  const attributes = { role: "combobox", "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": list.id };
  for (const [name, value] of Object.entries(attributes)) input.setAttribute(name, value);

  let timer, asked, chosen = -1;

  const show = (items) => {
    chosen = -1;
    input.removeAttribute("aria-activedescendant");
    list.replaceChildren(...items.map((item, index) => option(item, index)));
    list.hidden = items.length === 0;
    input.setAttribute("aria-expanded", String(!list.hidden));
  };

  const option = (item, index) => {
    const one = document.createElement("li");
    one.id = `${list.id}-${index}`;
    one.setAttribute("role", "option");
    one.setAttribute("aria-selected", "false");
    one.dataset.go = item.kind === "product" ? `/products/${encodeURIComponent(item.id)}` : item.kind === "category" ? `/catalog/${encodeURIComponent(item.id)}` : `/search?query=${encodeURIComponent(item.text)}`;
    one.textContent = item.text;
    one.addEventListener("mousedown", (event) => event.preventDefault());
    one.addEventListener("click", () => (location.href = one.dataset.go));
    return one;
  };

  const choose = (index) => {
    const options = [...list.children];
    chosen = (index + options.length + 1) % (options.length + 1);
    options.forEach((one, at) => one.setAttribute("aria-selected", String(at === chosen)));
    if (options[chosen]) {
      input.setAttribute("aria-activedescendant", options[chosen].id);
      options[chosen].scrollIntoView({ block: "nearest" });
    } else input.removeAttribute("aria-activedescendant");
  };

  const ask = async () => {
    asked?.abort();
    const query = input.value.trim();
    if (query.length < 2) return show([]);
    const mine = (asked = new AbortController());
    const late = setTimeout(() => mine.abort(), PATIENCE);
    try {
      const answer = await fetch(`${form.dataset.suggest}?query=${encodeURIComponent(query)}&limit=8`, { signal: mine.signal });
      if (answer.ok) show((await answer.json()).items);
    } catch (error) {
      if (error.name !== "AbortError") show([]);
    } finally {
      clearTimeout(late);
    }
  };

  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(ask, WAIT);
  });
  input.addEventListener("keydown", (event) => {
    if (list.hidden) return;
    if (event.key === "ArrowDown") choose(chosen + 1);
    else if (event.key === "ArrowUp") choose(chosen - 1);
    else if (event.key === "Escape") show([]);
    else if (event.key === "Enter" && list.children[chosen]) location.href = list.children[chosen].dataset.go;
    else return;
    event.preventDefault();
  });
  input.addEventListener("blur", () => setTimeout(() => show([]), 150));
}
