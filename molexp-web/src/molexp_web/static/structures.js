// Atoms in three dimensions by 3Dmol.js, which is loaded when the first of them comes into sight.

const library = document.querySelector("script[data-library]").dataset.library;
let loaded;

function load() {
  loaded ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = library;
    script.onload = () => resolve(window.$3Dmol);
    script.onerror = () => reject(new Error("3Dmol.js cannot be loaded"));
    document.head.append(script);
  });
  return loaded;
}

const ground = () => getComputedStyle(document.documentElement).getPropertyValue("--card").trim();

function button(text, act) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = text;
  made.addEventListener("click", () => act(made));
  return made;
}

async function show(holder) {
  const [$3Dmol, text] = await Promise.all([load(), fetch(holder.dataset.atoms).then((answer) => (answer.ok ? answer.text() : Promise.reject(new Error(answer.statusText))))]);
  holder.textContent = "";
  const canvas = document.createElement("div");
  canvas.className = "canvas";
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", "Atoms in three dimensions");
  const tools = document.createElement("p");
  tools.className = "actions";
  holder.append(canvas, tools);
  const viewer = $3Dmol.createViewer(canvas, { backgroundColor: ground(), antialias: true });
  if (!viewer) throw new Error("this browser has no WebGL");
  const format = holder.dataset.format;
  if (format === "xyz") viewer.addModelsAsFrames(text, "xyz");
  else viewer.addModel(text, format);
  const looks = [
    ["Balls and sticks", { sphere: { scale: 0.28 }, stick: { radius: 0.12 } }],
    ["Spheres", { sphere: { scale: 0.6 } }],
    ["Sticks", { stick: { radius: 0.15 } }],
  ];
  let look = 0;
  viewer.setStyle({}, looks[look][1]);
  const cell = /Lattice\s*=\s*"([^"]+)"/i.exec(text);
  const numbers = cell ? cell[1].trim().split(/\s+/).map(Number) : [];
  if (numbers.length === 9 && numbers.every(Number.isFinite)) box(viewer, numbers);
  else if (format === "cif") viewer.addUnitCell();
  viewer.zoomTo();
  viewer.rotate(-28, "y");
  viewer.rotate(16, "x");
  viewer.render();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => viewer.setBackgroundColor(ground()));
  tools.append(
    button(looks[look][0], (own) => {
      look = (look + 1) % looks.length;
      own.textContent = looks[look][0];
      viewer.setStyle({}, looks[look][1]);
      viewer.render();
    }),
    button("Reset view", () => {
      viewer.zoomTo();
      viewer.render();
    }),
  );
  const frames = viewer.getNumFrames();
  if (frames > 1) movie(viewer, frames, tools);
}

function box(viewer, [ax, ay, az, bx, by, bz, cx, cy, cz]) {
  const corner = (i, j, k) => ({ x: i * ax + j * bx + k * cx, y: i * ay + j * by + k * cy, z: i * az + j * bz + k * cz });
  for (let i = 0; i < 2; i++) {
    for (let j = 0; j < 2; j++) {
      for (let k = 0; k < 2; k++) {
        for (const [a, b, c] of [[1, 0, 0], [0, 1, 0], [0, 0, 1]]) {
          if (i + a < 2 && j + b < 2 && k + c < 2) viewer.addLine({ start: corner(i, j, k), end: corner(i + a, j + b, k + c), color: "#8a94a0" });
        }
      }
    }
  }
}

function movie(viewer, frames, tools) {
  const slider = document.createElement("input");
  slider.type = "range";
  slider.min = "0";
  slider.max = String(frames - 1);
  slider.value = "0";
  slider.setAttribute("aria-label", "Frame");
  const told = document.createElement("output");
  const go = async (frame) => {
    slider.value = String(frame);
    told.textContent = `frame ${frame + 1} of ${frames}`;
    await viewer.setFrame(frame);
    viewer.render();
  };
  let timer = 0;
  const play = button("Play", () => {
    if (timer) {
      clearInterval(timer);
      timer = 0;
    } else timer = setInterval(() => go((Number(slider.value) + 1) % frames), 120);
    play.textContent = timer ? "Pause" : "Play";
  });
  slider.addEventListener("input", () => go(Number(slider.value)));
  tools.append(play, slider, told);
  go(0);
}

const seen = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (!entry.isIntersecting) continue;
    seen.unobserve(entry.target);
    show(entry.target).catch((error) => {
      entry.target.textContent = `The atoms cannot be drawn: ${error.message}.`;
    });
  }
});
for (const holder of document.querySelectorAll("[data-atoms]")) seen.observe(holder);
