// The page works without this script: a button then loads it again. With it, only the parts that have changed are replaced.
// So a screen reader reads out the verdicts, and the page follows what somebody does in a pane.
"use strict";

let latest = 0;
let waiting = 0;

async function show(request, loadPanes) {
  const mine = ++latest;
  waiting += 1;
  const ended = document.getElementById("ended");
  try {
    const answer = await request;
    if (!answer.ok) throw new Error(answer.statusText);
    const text = await answer.text();
    if (mine === latest) replace(new DOMParser().parseFromString(text, "text/html"));
    if (loadPanes) for (const pane of document.querySelectorAll("iframe")) pane.src = pane.src;
    ended.hidden = true;
  } catch {
    ended.hidden = false;
  } finally {
    waiting -= 1;
  }
}

function replace(fresh) {
  document.title = fresh.title;
  for (const part of document.querySelectorAll("[data-part]")) {
    const now = fresh.getElementById(part.id);
    if (now.outerHTML === part.outerHTML) continue;
    part.className = now.className;
    part.replaceChildren(...now.childNodes);
  }
}

for (const form of document.forms) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    show(fetch(form.action, { method: "POST" }), true);
  });
}

setInterval(() => {
  if (!waiting && !document.hidden) show(fetch("/"), false);
}, 1000);
