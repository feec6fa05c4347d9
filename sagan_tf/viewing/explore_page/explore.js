// The page of `sagan explore`: it asks the server, and draws what it is answered.
"use strict";

const find = (selector, inside = document) => inside.querySelector(selector);
const byId = id => document.getElementById(id);
const make = (name, text = "", attributes = {}) => {
  const made = Object.assign(document.createElement(name), attributes);
  made.textContent = text;
  return made;
};
const percent = share => `${(100 * share).toPrecision(share < 0.1 ? 2 : 3)}\u00a0%`;
const times = value => `${value.toFixed(value < 2 ? 2 : 1)} times even`;

let about = null;
let chosen = null; // {label, seed} of a generated image, or {name, picture} of an own one.
let generated = null; // The last generated image that was chosen.
let shown = null; // The last answer about attention.
let pointed = null; // [row, column] of the key that is pointed at.
let grown = [];

const isOwn = () => Boolean(chosen && "picture" in chosen);

// ---- Asking the server.

async function ask(name, fields) {
  const options = { method: "POST", headers: { "Content-Type": "application/json" } };
  let response;
  try {
    response = await fetch(`/api/${name}`, { ...options, body: JSON.stringify(fields) });
  } catch {
    throw new Error("The server does not answer; is sagan explore still running?");
  }
  if (response.ok) return name === "save" ? response.blob() : response.json();
  const told = await response.json().catch(() => ({}));
  throw new Error(told.error || `The server refuses that (${response.status})`);
}

// Makes a function that runs `act` with its newest values after the call that runs now, leaves out
// those between, and shows an error as a sentence. What it returns resolves when all is done.
function newestOnly(section, act) {
  let running = null;
  let values = null;
  let waiting = null;
  const run = async () => {
    section.classList.add("busy");
    while (values) {
      try {
        await act(...values);
        tell(section, "");
      } catch (error) {
        tell(section, error.message);
      }
      [values, waiting] = [waiting, null];
    }
    section.classList.remove("busy");
    running = null;
  };
  return (...newest) => {
    if (running) {
      waiting = JSON.stringify(newest) === JSON.stringify(values) ? null : newest;
    } else {
      values = newest;
      running = run();
    }
    return running;
  };
}

function tell(section, sentence) {
  const place = find(".error", section);
  place.textContent = sentence;
  place.hidden = !sentence;
}

// Fields that say which generator makes images; `step` is of another checkpoint than the chosen.
function settings(step) {
  const truncation = byId("truncation");
  const fields = {
    truncation: truncation.validity.badInput ? "?" : Number(truncation.value),
    standing_statistics: byId("standing").checked,
    step: step ?? Number(byId("step").value || about.step),
  };
  if (about.is_run) fields.use_ema = byId("ema").checked;
  return fields;
}

// ---- What is kept: a PNG and the command line that makes it.

const kept = new Map(); // Section -> fields of what it shows.

function keep(section, fields, answer) {
  kept.set(section, fields);
  const place = find(".keep", section);
  place.hidden = !answer.command;
  const words = answer.command.split(" ").map(word => make("span", word));
  find("code", place).replaceChildren(...words.flatMap(word => [word, " "]).slice(0, -1));
  const notes = (answer.notes || []).map(note => make("li", note));
  byId("notes").replaceChildren(...notes);
}

for (const section of document.querySelectorAll("section")) {
  const save = newestOnly(section, async () => {
    const fields = kept.get(section);
    const link = make("a", "", { href: URL.createObjectURL(await ask("save", fields)) });
    link.download = { images: "samples", attention: "attention" }[fields.what] || "interpolation";
    link.download += ".png";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });
  find(".save", section).addEventListener("click", save);
  find(".copy", section).addEventListener("click", event => {
    const code = find(".keep code", section);
    getSelection().selectAllChildren(code);
    navigator.clipboard?.writeText(code.textContent).catch(() => {});
    event.target.textContent = "Copied";
    setTimeout(() => { event.target.textContent = "Copy command"; }, 1500);
  });
}

// ---- Images.

const drawGrid = newestOnly(byId("images"), async fields => {
  await listSteps();
  const answer = await ask("images", fields);
  keep(byId("images"), fields, answer);
  describeModel(`step ${answer.step.toLocaleString("en")}, `, `, ${answer.sampling}`);
  byId("grid").replaceChildren(...answer.images.map(image => {
    const button = make("button", "", { type: "button" });
    button.append(make("img", "", { src: image.png, alt: "" }), image.caption);
    button.addEventListener("click", () => choose(image));
    Object.assign(button.dataset, { label: image.label, seed: image.seed });
    return button;
  }));
  const same = answer.images.find(one =>
    chosen && one.label === chosen.label && one.seed === chosen.seed);
  // What is chosen already is looked at again, at the same place: the settings may be other ones.
  if (isOwn()) look(middle());
  else if (same) choose(same, middle());
  else choose(answer.images[0]);
});

// Training writes checkpoints and drops them. One that was chosen stays in the list.
async function listSteps() {
  about.steps = (await ask("steps", {})).steps;
  const select = byId("step");
  const chosenStep = Number(select.value || about.step);
  const steps = [...new Set([...about.steps, chosenStep])].sort((one, other) => one - other);
  select.replaceChildren(...steps.map(step =>
    make("option", step.toLocaleString("en"), { value: step })));
  select.value = chosenStep;
  byId("step-label").hidden = byId("growth").hidden = steps.length < 2;
}

function describeModel(step = "", sampling = "") {
  byId("source").textContent = `${about.source}, ${step}images of ${about.image_size} x ` +
    `${about.image_size} pixels, ${about.classes.length} classes${sampling}.`;
}

// Whether it is known what there is to look at; asks again where that has failed.
async function isReady(section) {
  if (!about) await begin();
  if (!about) tell(section, find("#images .error").textContent);
  return Boolean(about);
}

async function drawImages() {
  if (!(await isReady(byId("images")))) return;
  const [classes, seeds] = [className("classes"), byId("seeds").value];
  await drawGrid({ what: "images", ...settings(), classes, seeds });
}

function choose(image, point = {}) {
  chosen = generated = { label: image.label, seed: image.seed };
  byId("upload").value = "";
  markChosen();
  forgetGrowth();
  look(point);
}

function markChosen() {
  for (const button of byId("grid").children) {
    const is = Number(button.dataset.label) === chosen.label;
    button.setAttribute("aria-pressed", is && Number(button.dataset.seed) === chosen.seed);
  }
}

byId("ask").addEventListener("submit", event => {
  event.preventDefault();
  drawImages();
});
for (const id of ["classes", "seeds", "truncation", "standing", "ema", "step"]) {
  byId(id).addEventListener("change", () => drawImages());
}
byId("another").addEventListener("click", () => {
  const first = Math.floor(Math.random() * 1e6);
  byId("seeds").value = `${first}-${first + 7}`;
  drawImages();
});
byId("all").addEventListener("click", async () => {
  if (!(await isReady(byId("images")))) return;
  byId("classes").value = about.all_classes;
  byId("seeds").value = String(chosen?.seed ?? 0);
  drawImages();
});

// A list of names holds those that fit the text. It would hold no other one than a name that is
// there already, so that one steps back until another is given.
const className = id => byId(id).value || byId(id).placeholder;
for (const id of ["classes", "class-a", "class-b"]) {
  const input = byId(id);
  input.addEventListener("focus", () => {
    if (!about?.classes.some(one => one.value === input.value)) return;
    input.placeholder = input.value;
    input.value = "";
  });
  input.addEventListener("blur", () => {
    input.value ||= input.placeholder;
    input.placeholder = "";
  });
}

// ---- Attention.

const network = () => find("[name=network]:checked").value;

function subject() {
  if (isOwn()) return { ...chosen, step: settings().step };
  return { ...settings(), ...chosen, network: network() };
}

const lookAt = newestOnly(byId("attention"), async fields => {
  const answer = await ask("attention", fields);
  answer.bitmap = make("img", "", { src: answer.png });
  await answer.bitmap.decode();
  shown = { ...answer, network: fields.network || "discriminator" };
  keep(byId("attention"), fields, answer);
  paint();
});

function look(point) {
  return lookAt({ what: "attention", ...subject(), ...point });
}

function paint() {
  const { look: place, caption } = shown;
  byId("what").textContent = `${caption.replace("\n", ", ")}, seen by the ${shown.network}.`;
  byId("caption").textContent = place ? "Click on a pixel." : "";
  byId("key").textContent = "Point at a key to read its share.";
  pointed = null;
  byId("place").textContent = place ? describe(place) : shown.why;
  byId("block").textContent = place ? describeBlock() : "";
  drawImage();
  drawMap();
  showKeys();
  showScores();
}

function describe(place) {
  const [left, top, right, bottom] = place.corners;
  const pixels = `pixels ${left} to ${right} from the left, ${top} to ${bottom} from the top`;
  const [, , share] = place.strongest[0];
  const even = place.is_even ? " That counts as even: it looks nowhere in particular." : "";
  return `Place in row ${place.row}, column ${place.column} (${pixels}). Its strongest key has ` +
    `${percent(share)} of the attention, ${times(place.times_even)}.${even}`;
}

function describeBlock() {
  const even = percent(1 / shown.look.weights.length);
  const remark = shown.remark ? ` ${shown.remark}.` : "";
  return `Even attention gives each of the ${shown.look.weights.length} keys ${even}; colour shows ` +
    `what is above. The block has sigma_ratio ${shown.sigma_ratio.toPrecision(3)} and adds ` +
    `${percent(shown.share)} to the features.${remark}`;
}

function canvasOf(id) {
  const canvas = byId(id);
  const side = Math.round(384 * Math.max(1, Math.min(2, devicePixelRatio)));
  canvas.width = canvas.height = side;
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  return [context, side];
}

function drawImage() {
  const [context, side] = canvasOf("image");
  context.drawImage(shown.bitmap, 0, 0, side, side);
  if (shown.look) outline(context, side, shown.look.corners);
}

function outline(context, side, [left, top, right, bottom], inner = "#fff") {
  const scale = side / shown.size;
  for (const [colour, width] of [["#000", 5], [inner, 2]]) {
    context.strokeStyle = colour;
    context.lineWidth = width * side / 384;
    context.strokeRect(left * scale, top * scale, (right - left) * scale, (bottom - top) * scale);
  }
}

// Inferno from 0.3 on, as the figures of attention-maps have it.
const COLOURS = [[101, 21, 110], [159, 42, 99], [212, 72, 66], [245, 125, 21], [250, 193, 39],
  [252, 255, 164]];

function colourOf(heat) {
  const at = heat * (COLOURS.length - 1);
  const low = Math.min(Math.floor(at), COLOURS.length - 2);
  const parts = COLOURS[low].map((value, i) =>
    Math.round(value + (at - low) * (COLOURS[low + 1][i] - value)));
  return `rgb(${parts.join(" ")} / ${0.9 * Math.min(1.5 * heat, 1)})`;
}

// The image in dark grey, as it lies below a map. (Not every browser has `context.filter`.)
function darkGrey() {
  const canvas = make("canvas", "", { width: shown.size, height: shown.size });
  const context = canvas.getContext("2d");
  context.drawImage(shown.bitmap, 0, 0);
  const pixels = context.getImageData(0, 0, shown.size, shown.size);
  for (let i = 0; i < pixels.data.length; i += 4) {
    const [red, green, blue] = pixels.data.slice(i, i + 3);
    pixels.data.fill(0.7 * (red + green + blue) / 3, i, i + 3);
  }
  context.putImageData(pixels, 0, 0);
  return canvas;
}

function drawMap() {
  const [context, side] = canvasOf("map");
  byId("map").parentElement.hidden = !shown.look;
  if (!shown.look) return;
  context.drawImage(darkGrey(), 0, 0, side, side);
  const { keys, heat, weights } = shown.look;
  const cell = side / keys;
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.font = `${Math.round(cell * 0.3)}px system-ui, sans-serif`;
  for (let key = 0; key < keys * keys; key++) {
    const x = (key % keys) * cell;
    const y = Math.floor(key / keys) * cell;
    context.fillStyle = colourOf(heat[key]);
    context.fillRect(x, y, cell, cell);
    // Its number, where there is room.
    if (keys > 8) continue;
    context.fillStyle = heat[key] > 0.6 ? "#000" : "#fff";
    context.fillText((100 * weights[key]).toFixed(1), x + cell / 2, y + cell / 2);
  }
  outline(context, side, shown.look.corners);
  if (shown.look.is_even) writeEven(context, side);
  if (!pointed) return;
  const [top, left] = pointed.map(value => value * shown.size / keys);
  const [right, bottom] = [left, top].map(value => value + shown.size / keys);
  outline(context, side, [left, top, right, bottom], "#5cc8ff");
}

function writeEven(context, side) {
  context.font = `${side / 14}px system-ui, sans-serif`;
  context.fillStyle = "#000c";
  context.fillRect(0.38 * side, 0.45 * side, 0.24 * side, 0.1 * side);
  context.fillStyle = "#fff";
  context.fillText("even", side / 2, side / 2);
}

function showKeys() {
  if (!shown.look) {
    byId("keys").replaceChildren();
    return;
  }
  const { strongest, is_even: isEven } = shown.look;
  const rows = strongest.map(([row, column, share]) =>
    [`row ${row}, column ${column}`, percent(share), isEven ? 0 : share / strongest[0][2]]);
  byId("keys").replaceChildren(table("The strongest keys", rows));
}

function showScores() {
  byId("scores").replaceChildren();
  const scores = shown.scores;
  if (!scores) return;
  if (scores.by_class === null) {
    byId("scores").append(make("p", `Logit ${scores.logit.toFixed(3)}: above 0 the discriminator ` +
      "takes it for real. It does not know classes."));
    return;
  }
  const order = scores.by_class.map((value, label) => [value, label]);
  order.sort((one, other) => other[0] - one[0]);
  const largest = Math.max(...scores.by_class.map(Math.abs)) || 1;
  const rows = order.slice(0, 12).map(([value, label]) =>
    [about.classes[label].text, value.toFixed(3), value / largest]);
  const more = order.length > 12 ? `, the 12 highest of ${order.length}` : "";
  const title = scores.kind === "logit"
    ? `Logit by class${more}: how real the image is as one of that class`
    : `Probability by class${more}; logit ${scores.logit.toFixed(3)}, whatever the class`;
  byId("scores").append(table(title, rows));
}

// Rows of (name, number, share of the bar from -1 to 1).
function table(title, rows) {
  const made = make("table");
  made.append(make("caption", title));
  const negative = rows.some(row => row[2] < 0);
  for (const [name, number, share] of rows) {
    const row = made.insertRow();
    row.append(make("th", name, { scope: "row" }), make("td", number, { className: "number" }));
    const bar = make("div", "", { className: "bar" });
    const part = make("i");
    const width = Math.abs(share) * (negative ? 50 : 100);
    const start = negative ? 50 - (share < 0 ? width : 0) : 0;
    part.style.left = `${start}%`;
    part.style.width = `${width}%`;
    bar.append(part);
    row.insertCell().append(bar);
  }
  return made;
}

// The pixel in the middle of the place that is shown.
function middle() {
  if (!shown?.look) return {};
  const [left, top, right, bottom] = shown.look.corners;
  return { x: (left + right) / 2, y: (top + bottom) / 2 };
}

function pixelAt(event) {
  const box = event.currentTarget.getBoundingClientRect();
  const inside = value => Math.min(Math.max(value, 0), 1 - 1e-6) * shown.size;
  const x = inside((event.clientX - box.left) / box.width);
  return { x, y: inside((event.clientY - box.top) / box.height) };
}

byId("image").addEventListener("click", event => {
  if (shown?.look) look(pixelAt(event));
});
// Calls `act` with the row and the column that an arrow key leads to from `start`.
function onArrows(canvas, start, act) {
  const moves = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
  canvas.addEventListener("keydown", event => {
    const move = moves[event.key];
    if (!move || !shown?.look) return;
    event.preventDefault();
    const { at, side } = start(shown.look);
    act(...at.map((value, i) => Math.min(Math.max(value + move[i], 0), side - 1)));
  });
}

onArrows(byId("image"), ({ row, column, side }) => ({ at: [row, column], side }), (row, column) => {
  const [x, y] = [column, row].map(value => (value + 0.5) * shown.size / shown.look.side);
  look({ x, y });
});
onArrows(byId("map"), place => ({ at: pointed || place.strongest[0], side: place.keys }), pointAt);
for (const kind of ["pointermove", "pointerdown"]) {
  byId("map").addEventListener(kind, event => {
    if (!shown?.look) return;
    const { x, y } = pixelAt(event);
    pointAt(...[y, x].map(value => Math.floor(value * shown.look.keys / shown.size)));
  });
}

function pointAt(row, column) {
  if (String(pointed) === String([row, column])) return;
  pointed = [row, column];
  const { keys, weights } = shown.look;
  const share = weights[row * keys + column];
  byId("key").textContent =
    `Key in row ${row}, column ${column}: ${percent(share)}, ${times(share * weights.length)}.`;
  drawMap();
}
for (const radio of document.querySelectorAll("[name=network]")) {
  radio.addEventListener("change", () => {
    // A generator makes its own images.
    if (isOwn() && network() === "generator") choose(generated);
    else if (chosen) look(middle()); // The same place, to compare.
  });
}

// ---- An own picture.

// Without a name, the same file can be chosen again.
byId("upload").addEventListener("click", event => { event.target.value = ""; });
byId("upload").addEventListener("change", async event => {
  const [file] = event.target.files;
  if (!file) return;
  if (file.size > 32e6) {
    event.target.value = "";
    tell(byId("attention"), `${file.name}: is too large; choose a picture of less than 32 MB`);
    return;
  }
  const address = await new Promise(done => {
    const reader = new FileReader();
    reader.onload = () => done(reader.result);
    reader.readAsDataURL(file);
  });
  const before = { chosen, network: network() };
  const comma = address.indexOf(","); // An empty file has none.
  chosen = { name: file.name, picture: comma < 0 ? "" : address.slice(comma + 1) };
  find("[name=network][value=discriminator]").checked = true;
  await look();
  if (find(".error", byId("attention")).hidden) {
    markChosen();
  } else {
    // What is no picture is not shown.
    chosen = before.chosen;
    find(`[name=network][value=${before.network}]`).checked = true;
    byId("upload").value = "";
  }
});

// ---- Films: pictures under a slider.

function film(section, pictures, describeAt, at) {
  const place = find(".film", section);
  const slider = find("input", place);
  slider.max = pictures.length - 1;
  if (at !== undefined) slider.value = at;
  const show = () => {
    const now = Number(slider.value);
    const text = describeAt(now);
    find("img", place).src = pictures[now];
    find("img", place).alt = text;
    find("output", place).textContent = text;
    slider.setAttribute("aria-valuetext", text);
  };
  slider.oninput = show;
  place.hidden = false;
  show();
}

const drawBetween = newestOnly(byId("between"), async fields => {
  const answer = await ask("between", fields);
  keep(byId("between"), fields, answer);
  const last = answer.images.length - 1;
  film(byId("between"), answer.images, at => `${Math.round(100 * at / last)} %`);
});
byId("ends").addEventListener("submit", async event => {
  event.preventDefault();
  if (!(await isReady(byId("between")))) return;
  const classes = `${className("class-a")},${className("class-b")}`;
  const seeds = `${byId("seed-a").value},${byId("seed-b").value}`;
  drawBetween({ what: "between", ...settings(), classes, seeds });
});

const grow = newestOnly(byId("growth"), async of => {
  if (!of || isOwn()) {
    throw new Error("Choose a generated image above first; an own picture has not grown.");
  }
  await listSteps();
  grown = [];
  for (const step of about.steps) {
    const fields = {
      what: "images", ...settings(step), classes: String(of.label), seeds: String(of.seed),
    };
    const answer = await ask("images", fields).catch(async error => {
      if ((await ask("steps", {})).steps.includes(step)) throw error;
      return null; // Training has dropped it meanwhile.
    });
    if (of !== chosen) return;
    if (!answer) continue;
    grown.push({ step, fields, answer, png: answer.images[0].png });
    showGrowth();
  }
});

function showGrowth() {
  const pictures = grown.map(one => one.png);
  const last = pictures.length - 1;
  const isMoved = last > 0 && Number(find("#growth input").value) !== last - 1;
  film(byId("growth"), pictures, at => {
    keep(byId("growth"), grown[at].fields, grown[at].answer);
    return `${grown[at].step.toLocaleString("en")} (${at + 1} of ${about.steps.length})`;
  }, isMoved ? undefined : last);
}

function forgetGrowth() {
  grown = [];
  find("#growth .film").hidden = find("#growth .keep").hidden = true;
}
byId("grow").addEventListener("click", () => grow(chosen));

// ---- The beginning.

const begin = newestOnly(byId("images"), async () => {
  about = await ask("about", {});
  document.title = `sagan explore: ${about.source}`;
  describeModel();
  byId("names").replaceChildren(...about.classes.map(one =>
    make("option", one.text, { value: one.value })));
  byId("classes").value ||= about.first_class;
  byId("class-a").value = about.first_class;
  byId("class-b").value = (about.classes[1] || about.classes[0]).value;
  byId("truncation").value = about.truncation;
  byId("truncation").disabled = !about.is_run && !about.truncation;
  byId("standing").checked = about.standing_statistics;
  byId("ema").checked = about.use_ema;
  byId("ema-label").hidden = !about.has_average;
  byId("standing-label").hidden = !about.is_run;
  find("[name=network][value=discriminator]").disabled = byId("upload").disabled = !about.is_run;
  byId("no-discriminator").hidden = about.is_run;
});
begin().then(() => about && drawImages());
