"use strict";

// Nothing here is put together as HTML: names of files and classes are set as text.

const AT_ONCE = 4; // requests; the others wait here
const TRIES = 6; // where the server is busy
const byId = (id) => document.getElementById(id);
const results = byId("results");
const heat = byId("heat");
const strength = byId("strength");
const maxBytes = Number(document.body.dataset.maxBytes);

// ---- asking

const waiting = [];
let running = 0;

function enqueue(task) {
  return new Promise((resolve, reject) => {
    waiting.push(() => task().then(resolve, reject));
    pump();
  });
}

function pump() {
  while (running < AT_ONCE && waiting.length) {
    running += 1;
    waiting.shift()().finally(() => {
      running -= 1;
      pump();
    });
  }
}

async function ask(file, query, signal) {
  for (let tries = 1; ; tries += 1) {
    let answer;
    try {
      // what it is, the server finds out from its bytes
      answer = await fetch(`predict?${new URLSearchParams(query)}`, {
        method: "POST", body: file, headers: { "Content-Type": "application/octet-stream" }, signal,
      });
    } catch (error) {
      if (signal.aborted) throw error;
      throw new Error("The server can't be reached. Does it still run?");
    }
    const said = await answer.json().catch(() => ({}));
    if (answer.ok) return said.images[0];
    if (answer.status !== 503 || tries === TRIES) throw new Error(said.detail || `The server answers ${answer.status}.`);
    await new Promise((resolve) => setTimeout(resolve, 1000 * Number(answer.headers.get("Retry-After") || 1)));
  }
}

// ---- one picture

class Result {
  constructor(file) {
    this.file = file;
    this.stop = new AbortController();
    this.heats = new Map(); // class → its heat map, on the way or here
    this.element = byId("result").content.firstElementChild.cloneNode(true);
    this.element.result = this;
    this.url = URL.createObjectURL(file);
    const photo = this.find(".photo");
    photo.addEventListener("load", () => photo.classList.toggle("small", photo.naturalWidth <= 96));
    photo.addEventListener("error", () => {
      photo.hidden = true;
      this.find(".nothing").hidden = false;
    });
    photo.src = this.url;
    photo.alt = file.name;
    this.find(".name span").textContent = file.name;
    this.find(".remove").setAttribute("aria-label", `Remove ${file.name}`);
    this.find(".remove").addEventListener("click", () => this.remove());
  }

  find(selector) {
    return this.element.querySelector(selector);
  }

  async run() {
    try {
      if (this.file.size > maxBytes) throw new Error(`The file has more than ${maxBytes.toLocaleString("en")} bytes.`);
      const answer = await enqueue(() => ask(this.file, { top: 5 }, this.stop.signal));
      this.show(answer);
    } catch (error) {
      this.fail(error);
    }
  }

  show(answer) {
    this.find(".waiting").hidden = true;
    this.find(".unknown").hidden = answer.unknown !== true;
    const bars = this.find(".bars");
    bars.setAttribute("aria-label", `Classes of ${this.file.name}`);
    for (const { name, probability } of answer.classes) {
      const bar = byId("bar").content.firstElementChild.cloneNode(true);
      const chance = `${(100 * probability).toFixed(1)}\u202f%`;
      bar.querySelector(".of").textContent = name;
      bar.querySelector(".chance").textContent = chance;
      bar.title = `Show what speaks for ${name}`;
      bar.addEventListener("click", () => {
        heat.checked = true;
        showTools();
        this.look(name);
      });
      bar.dataset.of = name;
      bars.append(bar);
      requestAnimationFrame(() => (bar.querySelector("i").style.width = `${100 * probability}%`));
    }
    this.best = answer.classes[0].name;
    const sureness = (100 * answer.classes[0].probability).toFixed(0);
    byId("said").textContent = `${this.file.name}: ${this.best}, ${sureness} percent`;
    if (heat.checked) this.look(this.best);
  }

  async look(of) {
    this.of = of;
    for (const bar of this.element.querySelectorAll(".bar")) {
      bar.setAttribute("aria-pressed", String(heat.checked && bar.dataset.of === of));
    }
    const image = this.find(".heat");
    if (!heat.checked || this.find(".photo").hidden) {
      image.hidden = true;
      return;
    }
    if (!this.heats.has(of)) {
      this.heats.set(of, enqueue(() => ask(this.file, { top: 1, heat_map: true, of }, this.stop.signal)));
    }
    try {
      const { heat_map: map } = await this.heats.get(of);
      if (this.of !== of || !heat.checked) return;
      const [left, top, right, bottom] = map.part;
      image.src = map.png;
      image.alt = `Where it looks for ${of}`;
      Object.assign(image.style, {
        left: `${100 * left}%`, top: `${100 * top}%`,
        width: `${100 * (right - left)}%`, height: `${100 * (bottom - top)}%`,
      });
      image.hidden = false;
    } catch (error) {
      this.heats.delete(of);
      this.fail(error);
    }
  }

  fail(error) {
    if (this.stop.signal.aborted) return;
    this.find(".waiting").hidden = true;
    const problem = this.find(".problem");
    problem.textContent = error.message;
    problem.hidden = false;
    byId("said").textContent = `${this.file.name}: ${error.message}`;
  }

  remove() {
    const next = this.element.nextElementSibling || this.element.previousElementSibling;
    this.stop.abort();
    URL.revokeObjectURL(this.url);
    this.element.remove();
    showTools();
    (next ? next.querySelector(".remove") : byId("files")).focus();
  }
}

// ---- the page

const shown = () => [...results.children].map((element) => element.result);

function showTools() {
  byId("tools").hidden = !results.children.length;
  byId("hint").hidden = !results.children.length || !heat.checked;
  byId("drop").classList.toggle("low", results.children.length > 0);
}

function take(files) {
  const some = [...files].map((file) => new Result(file));
  results.prepend(...some.map((result) => result.element));
  some.forEach((result) => result.run());
  showTools();
}

byId("files").addEventListener("change", (event) => {
  take(event.target.files);
  event.target.value = ""; // so that the same file can be chosen again
});

let depth = 0; // of the elements that a dragged file is over
document.addEventListener("dragenter", () => byId("drop").classList.toggle("over", ++depth > 0));
document.addEventListener("dragleave", () => byId("drop").classList.toggle("over", --depth > 0));
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault();
  depth = 0;
  byId("drop").classList.remove("over");
  take(event.dataTransfer.files);
});
document.addEventListener("paste", (event) => take(event.clipboardData.files));

heat.addEventListener("change", () => {
  showTools();
  for (const result of shown()) if (result.best) result.look(result.of || result.best);
});
strength.addEventListener("input", () => document.documentElement.style.setProperty("--strength", strength.value / 100));
byId("clear").addEventListener("click", () => shown().forEach((result) => result.remove()));
