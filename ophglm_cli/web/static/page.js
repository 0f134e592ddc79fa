// The page's controls. What is shown comes worded from the program; nothing is computed here.

import { Turn, element } from "./answer.js";

const find = (id) => document.getElementById(id);
const shared = await (await fetch("texts")).json();
const browser = (navigator.language || "en").toLowerCase().startsWith("zh") ? "zh" : "en";
let language = sessionStorage.getItem("language") || (shared.language === "auto" ? browser : shared.language);
let consultation = null;
let shown = { photographs: [], turns: [], found: [], about: {} };
let answering = false;

const say = (key, value = "") => shared.texts[language][key].replace("{}", value);
const place = (rest = "") => `consultations/${consultation}${rest}`;

function trouble(text = "") {
  find("trouble").textContent = text;
  find("trouble").hidden = !text;
}

// Returns a response that is all right; else says why it is not, and returns null.
async function ask(address, options = {}) {
  const mark = address.includes("?") ? "&" : "?";
  let response;
  try {
    response = await fetch(`${address}${mark}lang=${language}`, options);
  } catch {
    trouble(say("lost"));
    return null;
  }
  if (response.ok) return response;
  const said = await response.json().catch(() => ({}));
  trouble(said.error || say("lost"));
  return null;
}

async function update(address, options) {
  const response = await ask(address, options);
  if (!response) return false;
  shown = await response.json();
  trouble();
  showAll();
  return true;
}

const post = (values) => ({ method: "POST", body: JSON.stringify(values) });

async function begin() {
  const kept = sessionStorage.getItem("consultation");
  if (kept) {
    const response = await fetch(`consultations/${kept}?lang=${language}`).catch(() => null);
    if (response?.ok) {
      consultation = kept;
      shown = await response.json();
      showAll();
      return;
    }
  }
  const opened = await ask("consultations", { method: "POST" });
  if (!opened) return;
  consultation = (await opened.json()).key;
  sessionStorage.setItem("consultation", consultation);
  await update(place());
}

function showTexts(root) {
  for (const item of root.querySelectorAll("[data-text]")) item.textContent = say(item.dataset.text);
  for (const item of root.querySelectorAll("[data-placeholder]")) item.placeholder = say(item.dataset.placeholder);
}

function showAll() {
  document.documentElement.lang = language;
  find("language").value = language;
  showTexts(document);
  find("notice").textContent = shown.notice;
  find("about").textContent = ["model", "encoder", "language_model", "runtime"].map((k) => shown.about[k]).filter(Boolean).join(" · ");
  find("beside-label").hidden = shown.photographs.length !== 1;
  find("drop").hidden = shown.photographs.length > 0;
  showPhotographs();
  showTurns();
  find("proposals").replaceChildren(
    ...["ask_seen", "ask_urgent", "ask_letter"].map((key) => {
      const button = element("button", "", say(key));
      button.type = "button";
      button.addEventListener("click", () => answer(say(key)));
      return button;
    }),
  );
}

function showPhotographs() {
  const viewers = shown.photographs.map((photograph) => {
    const viewer = find("viewer").content.cloneNode(true).firstElementChild;
    showTexts(viewer);
    const picture = viewer.querySelector(".photograph");
    picture.src = place(`/photographs/${photograph.key}`);
    picture.alt = photograph.text;
    viewer.querySelector(".name").textContent = photograph.name;
    viewer.dataset.key = photograph.key;
    viewer.dataset.maps = photograph.maps ? "1" : "";
    const eye = viewer.querySelector(".eye");
    eye.value = photograph.side || "";
    eye.addEventListener("change", () => eye.value && update(place(`/photographs/${photograph.key}/eye`), post({ eye: eye.value })));
    return viewer;
  });
  find("viewers").replaceChildren(...viewers);
  const mapped = shown.photographs.filter((p) => p.maps);
  find("heat").hidden = mapped.length === 0;
  const chosen = find("condition").value;
  const none = element("option", "", say("none"));
  none.value = "";
  const rows = mapped.length ? mapped[0].rows : [];
  find("condition").replaceChildren(none, ...rows.map((row) => {
    const option = element("option", "", row.name);
    option.value = row.label;
    return option;
  }));
  find("condition").value = rows.some((row) => row.label === chosen) ? chosen : "";
  showHeat();
  find("findings").replaceChildren(...shown.photographs.map(findings));
}

function showHeat() {
  const label = find("condition").value;
  for (const viewer of find("viewers").children) {
    const map = viewer.querySelector(".map");
    map.hidden = !label || !viewer.dataset.maps;
    if (!map.hidden) map.src = place(`/photographs/${viewer.dataset.key}/heat/${encodeURIComponent(label)}`);
    map.style.opacity = find("opacity").value / 100;
  }
}

function findings(photograph) {
  const box = element("div");
  box.append(element("h3", "", [photograph.name, photograph.eye].filter(Boolean).join(" · ")));
  box.append(element("p", "", photograph.text));
  if (photograph.rows.length) {
    const table = element("table");
    const head = element("tr");
    for (const key of ["condition", "probability", "threshold"]) head.append(element("th", key === "condition" ? "" : "number", say(key)));
    head.append(element("th"));
    table.append(head, ...photograph.rows.map(row));
    box.append(table, element("p", "small", say("reached")));
  }
  if (photograph.grade) {
    box.append(element("p", "", say("grade") + photograph.grade + (photograph.referable ? say("referable") : "")));
  }
  return box;
}

function row(values) {
  const line = element("tr", values.positive ? "reached" : "");
  line.dataset.label = values.label;
  line.append(element("td", "", values.name + (values.positive ? " *" : "")));
  line.append(element("td", "number", values.probability), element("td", "number", values.threshold));
  const cell = element("td", "meter");
  const track = element("div", "track");
  const bar = element("div", "bar");
  bar.style.width = `${100 * values.fraction}%`;
  track.append(bar);
  if (values.from !== null) {
    const mark = element("div", "mark");
    mark.style.left = `${100 * Math.min(values.from, 0.995)}%`;
    track.append(mark);
  }
  cell.append(track);
  line.append(cell);
  return line;
}

function showTurns() {
  find("turns").replaceChildren(...shown.turns.map((values) => {
    const turn = new Turn(values.question);
    values.parts.forEach((part) => turn.add(part));
    if (!values.complete) turn.note(say("stopped"));
    return turn.root;
  }));
  find("turns").scrollTop = find("turns").scrollHeight;
}

function busy(is) {
  answering = is;
  find("stop").disabled = !is;
  const others = "#ask, #clear, #over, #show-report, #language, #open, #beside, #proposals button, .eye";
  for (const control of document.querySelectorAll(others)) control.disabled = is;
}

async function answer(question) {
  if (answering || !question.trim()) return;
  trouble();
  busy(true);
  const turn = new Turn(question);
  find("turns").append(turn.root);
  const response = await ask(place("/answers"), post({ question }));
  try {
    if (!response) return turn.root.remove();
    for await (const told of lines(response)) {
      if (told.step) find("step").textContent = `${say(`step_${told.step}`)}…`;
      if (told.part) {
        find("step").textContent = "";
        turn.add(told.part);
      }
      if (told.error) trouble(told.error);
      if (told.error && turn.kind === null) turn.root.remove();
      if (told.complete === false) turn.note(say("stopped"));
      find("turns").scrollTop = find("turns").scrollHeight;
    }
  } catch {
    trouble(say("lost"));
  } finally {
    find("step").textContent = "";
    busy(false);
    find("question").focus();
  }
}

async function* lines(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n");
    rest = parts.pop();
    for (const part of parts) yield JSON.parse(part);
  }
}

async function open(files, beside) {
  const chosen = [...files];
  if (!chosen.length || answering) return;
  if (chosen.length + (beside ? shown.photographs.length : 0) > 2) return trouble(say("two"));
  if (chosen.some((file) => file.size > shared.most_bytes)) return trouble(say("large", shared.most_bytes / 2 ** 20));
  busy(true);
  find("step").textContent = "";
  trouble(say("opened"));
  for (const [number, file] of chosen.entries()) {
    const second = beside || number > 0 ? "1" : "0";
    const query = `?name=${encodeURIComponent(file.name)}&beside=${second}`;
    if (!(await update(place(`/photographs${query}`), { method: "POST", body: file }))) break;
    find("condition").value = shown.found[0] || "";
    showHeat();
  }
  busy(false);
}

find("asking").addEventListener("submit", (event) => {
  event.preventDefault();
  const question = find("question").value;
  if (answering || !question.trim()) return;
  find("question").value = "";
  answer(question);
});
find("question").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    find("asking").requestSubmit();
  }
});
find("stop").addEventListener("click", () => ask(place("/stop"), { method: "POST" }));
find("clear").addEventListener("click", () => update(place("/clear"), { method: "POST" }));
find("over").addEventListener("click", async () => {
  await ask(place(), { method: "DELETE" });
  sessionStorage.removeItem("consultation");
  await begin();
});
find("language").addEventListener("change", () => {
  language = find("language").value;
  sessionStorage.setItem("language", language);
  update(place());
});
for (const [id, beside] of [["open", false], ["beside", true]]) {
  find(id).addEventListener("change", async () => {
    const files = [...find(id).files];
    find(id).value = "";
    await open(files, beside);
  });
}
find("condition").addEventListener("change", showHeat);
find("opacity").addEventListener("input", showHeat);
find("show-report").addEventListener("click", () => {
  find("sheet").src = place(`/report.html?lang=${language}`);
  for (const link of find("report").querySelectorAll("a")) link.href = place(`/report.${link.dataset.format}?lang=${language}&save=1`);
  find("report").showModal();
});
find("print").addEventListener("click", () => find("sheet").contentWindow.print());
find("close-report").addEventListener("click", () => find("report").close());
addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dropping");
});
addEventListener("dragleave", (event) => event.relatedTarget || document.body.classList.remove("dropping"));
addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dropping");
  open(event.dataTransfer.files, false);
});
await begin();
