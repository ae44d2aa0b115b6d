// What every part of the page needs.

export const $ = (id) => document.getElementById(id);

export function show(element, is) { element.hidden = !is; }

// Sets a text only where it differs: a screen reader says what is set.
export function say(element, text) { if (element.textContent !== text) element.textContent = text; }

export function complain(element, text) {
  say(element, text || "");
  show(element, Boolean(text));
}

// Text is never HTML here: names of classes and files may be anything.
export function made(tag, text = "", attributes = {}) {
  const element = document.createElement(tag);
  element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

export async function ask(address, body) {
  const options = body === undefined ? {} : { method: "POST", body };
  const response = await fetch(address, options);
  const text = await response.text();
  let content = {};
  try { content = JSON.parse(text); } catch { content = { error: text }; }
  if (!response.ok) throw new Error(content.error || `The studio answers ${response.status}.`);
  return content;
}

export const address = (run, what) => `runs/${encodeURIComponent(run)}/${what}`;

export function droppable(element, take) {
  element.addEventListener("dragover", (event) => { event.preventDefault(); element.classList.add("over"); });
  element.addEventListener("dragleave", () => element.classList.remove("over"));
  element.addEventListener("drop", (event) => {
    event.preventDefault();
    element.classList.remove("over");
    take(event.dataTransfer);
  });
}
