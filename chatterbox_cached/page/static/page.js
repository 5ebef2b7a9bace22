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
