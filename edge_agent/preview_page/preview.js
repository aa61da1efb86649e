// The live preview: draws what the agent tells, and asks nothing of anybody else.

const EXPRESSIONS = ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"];
const LIMBS = [[11, 12], [11, 13], [13, 15], [12, 14], [14, 16], [11, 23], [12, 24], [23, 24]];
const SILENT_MS = 3000;

const $ = (id) => document.getElementById(id);
const mesh = await (await fetch("mesh")).json();
const canvas = $("points"), pen = canvas.getContext("2d");
let heard = Date.now();

function element(kind, text = "", name = "") {
  const made = document.createElement(kind);
  made.textContent = text;
  made.className = name;
  return made;
}

function percent(share) { return `${Math.round(100 * share)}\u00a0%`; }

// ---- points -----------------------------------------------------------------------------------------------------------

function join(points, pairs, style, width) {
  pen.strokeStyle = style;
  pen.lineWidth = width;
  pen.beginPath();
  for (const [from, to] of pairs) {
    if (!points[from] || !points[to]) continue;
    pen.moveTo(...points[from]);
    pen.lineTo(...points[to]);
  }
  pen.stroke();
}

function drawPoints({ size, face, body }) {
  if (!size) return;
  const [width, height] = size;
  const grain = 2; // drawn at twice the picture's size, so that thin lines stay thin
  if (canvas.width !== grain * width) { canvas.width = grain * width; canvas.height = grain * height; }
  canvas.parentElement.style.aspectRatio = `${width} / ${height}`;
  pen.setTransform(grain, 0, 0, grain, 0, 0);
  pen.clearRect(0, 0, width, height);
  pen.lineCap = pen.lineJoin = "round";
  const unit = width / 640;
  if (body) {
    join(body, LIMBS, "rgb(53 195 155 / .85)", 2.2 * unit);
    pen.fillStyle = "#e6fff7";
    for (const point of body.slice(11)) if (point) { pen.beginPath(); pen.arc(...point, 2.8 * unit, 0, 7); pen.fill(); }
  }
  if (face) {
    join(face, mesh.net, "rgb(140 195 217 / .28)", .6 * unit);
    join(face, mesh.lines, "rgb(160 214 236 / .95)", 1.3 * unit);
  }
}

// ---- bars -------------------------------------------------------------------------------------------------------------

function bars(box, rows) {
  while (box.children.length > rows.length) box.lastChild.remove();
  rows.forEach(({ name, probability, event }, index) => {
    let row = box.children[index];
    if (!row) {
      row = box.appendChild(element("div"));
      row.append(element("span"), element("i"), element("span"));
      row.children[1].append(element("b"));
    }
    row.children[0].textContent = name;
    row.children[1].firstChild.style.width = `${100 * (probability ?? 0)}%`;
    row.children[2].textContent = probability === null ? "–" : percent(probability);
    row.classList.toggle("event", Boolean(event));
  });
}

function drawTasks({ tasks = [], model_version: version, data }) {
  const box = $("tasks");
  if (!tasks.length) {
    const words = !version ? "Not calibrated yet: no estimate, no alert."
      : data === false ? "Too little of the face was seen: no estimate." : "The first estimate comes with the first full window.";
    if (box.textContent !== words) box.replaceChildren(element("p", words, "empty"));
    return;
  }
  const names = tasks.map((task) => task.task).join();
  if (box.dataset.names !== names || !box.querySelector(".task")) {
    box.dataset.names = names;
    box.replaceChildren(...tasks.map(() => {
      const made = element("div", "", "task"), title = element("h3");
      title.append(element("b"), element("span"));
      made.append(title, element("div", "", "bars"));
      return made;
    }));
  }
  tasks.forEach((task, index) => {
    const made = box.children[index];
    made.classList.toggle("on", task.alerting);
    made.querySelector("h3 b").textContent = task.task;
    made.querySelector("h3 span").textContent = task.rule ? `alert: ${task.rule.event} from ${percent(task.rule.threshold)}` : "";
    bars(made.querySelector(".bars"), task.classes);
  });
}

function drawAlert({ tasks = [], standing_out: unusual = [] }) {
  const on = tasks.filter((task) => task.alerting && task.rule);
  $("alert").hidden = !on.length;
  if (!on.length) return;
  const [title, why, besides] = $("alert").children;
  title.textContent = `Alert: ${on.map((task) => task.rule.event).join(", ")}`;
  why.textContent = on.map(({ rule }) =>
    `It was raised because ${rule.event} was at ${percent(rule.threshold)} or more for ${rule.duration_s}\u00a0s; now it is at ${percent(rule.probability)}.`).join(" ");
  besides.textContent = unusual.length
    ? `Most unusual for this person now: ${unusual.map(({ name, spreads }) => `${name} (${spreads > 0 ? "+" : "−"}${Math.abs(spreads)})`).join("; ")}, in their own spreads.`
    : "";
}

function drawPosture(posture = []) {
  $("posture").replaceChildren(...posture.flatMap(({ name, unit, value }) => {
    const shown = element("dd", value === null ? "–" : value.toFixed(unit === "deg" ? 1 : 2));
    shown.append(element("span", value === null ? "" : ` ${{ deg: "°", "shoulder widths": "sw", "shoulder widths/s": "sw/s" }[unit] ?? unit}`));
    return [element("dt", name), shown];
  }));
}

// ---- all --------------------------------------------------------------------------------------------------------------

function state(words, tone) {
  $("camera").textContent = words;
  $("camera").dataset.tone = tone;
}

function draw(told) {
  $("participant").textContent = told.participant || "Waiting";
  $("session").textContent = told.session;
  state(`camera: ${told.camera}`, told.camera === "ok" ? "good" : "warn");
  $("rate").textContent = `${told.fps.toFixed(0)} frames a second, ${told.model_version ? `model version ${told.model_version}` : "no model yet"}`;
  $("caption").textContent = told.pictures ? "" : "Measured points only; no picture leaves the agent.";
  if (told.pictures && $("picture").hidden) { $("picture").src = "picture"; $("picture").hidden = false; }
  drawPoints(told);
  drawTasks(told);
  drawAlert(told);
  bars($("expression"), EXPRESSIONS.map((name) => ({ name, probability: told.expression?.[name] ?? null })));
  drawPosture(told.posture);
}

const events = new EventSource("events");
events.onmessage = (event) => { heard = Date.now(); draw(JSON.parse(event.data)); };
setInterval(() => { if (Date.now() - heard > SILENT_MS) state("the agent does not answer", "warn"); }, 1000);
