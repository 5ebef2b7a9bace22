// What a page can't do without a script: search while typing, drop files, hear a line where it is asked for.
"use strict";

const search = document.querySelector(".search");

async function look() {
  const address = "/?" + new URLSearchParams(new FormData(search));
  const answer = await fetch(address);
  const found = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("#found");
  if (found && address === "/?" + new URLSearchParams(new FormData(search))) {
    document.querySelector("#found").replaceWith(found);
    history.replaceState(null, "", address);
  }
}

if (search) {
  let waiting;
  search.elements.q.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(look, 150);
  });
  search.elements.sort.addEventListener("change", look);
  search.addEventListener("submit", (event) => {
    event.preventDefault();
    look();
  });
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input, textarea, select");
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      search.elements.q.focus();
    }
  });
}

const drop = document.querySelector(".drop");

if (drop) {
  const form = drop.querySelector("form");
  form.addEventListener("submit", () => {
    drop.open = true;
    drop.querySelector("[role=status]").textContent = "Adding…";
    form.querySelector("button").disabled = true;
  });
  for (const kind of ["dragenter", "dragover"]) {
    document.addEventListener(kind, (event) => {
      event.preventDefault();
      drop.classList.add("over");
    });
  }
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) drop.classList.remove("over");
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    if (event.dataTransfer.files.length) {
      form.elements.files.files = event.dataTransfer.files;
      form.requestSubmit();
    }
  });
}

const say = document.querySelector(".say");

if (say) {
  say.addEventListener("submit", async (event) => {
    event.preventDefault();
    const status = say.querySelector("[role=status]"), button = say.querySelector("button");
    status.textContent = "Speaking…";
    button.disabled = true;
    say.querySelector("audio")?.remove();
    try {
      const answer = await fetch(say.action, { method: "POST", body: new FormData(say) });
      if (!answer.ok) {
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        throw new Error(page.querySelector("[role=alert]")?.textContent ?? "That could not be done.");
      }
      const audio = document.createElement("audio");
      audio.controls = audio.autoplay = true;
      audio.src = URL.createObjectURL(await answer.blob());
      status.before(audio);
      status.textContent = "Done.";
    } catch (error) {
      status.textContent = error.message;
    } finally {
      button.disabled = false;
    }
  });
}
