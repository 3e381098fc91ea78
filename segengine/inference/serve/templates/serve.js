"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const said = $("said"), stage = $("stage"), picture = $("picture"), colours = $("colours"), cross = $("cross");
  const SHOWN_CHANCES = 5;
  let file = null, found = null, map = null, chances = null, hidden = new Set(), pointer = null, request = 0;

  const say = (text, bad = false) => {
    said.textContent = text;
    said.classList.toggle("bad", bad);
  };

  const bytesOf = (base64) => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  const bitmapOf = (base64) =>
    createImageBitmap(new Blob([bytesOf(base64)], { type: "image/png" }), { colorSpaceConversion: "none" });

  const ask = async (query) => {
    const form = new FormData();
    form.append("image", file, file.name || "image");
    const token = $("token");
    const headers = token && token.value ? { Authorization: `Bearer ${token.value}` } : {};
    let answer;
    try {
      answer = await fetch(`predict?${query}`, { method: "POST", body: form, headers });
    } catch {
      throw new Error("The server doesn't answer.");
    }
    if (answer.ok) return answer;
    let message = `The server answered with status ${answer.status}.`;
    try {
      message = (await answer.json()).error.message;
    } catch {
      /* not JSON: the status has to do */
    }
    throw new Error(message);
  };

  const predict = async (chosen) => {
    const mine = (request += 1);
    file = chosen;
    say(`Predicting ${file.name} ...`);
    $("drop").setAttribute("aria-busy", "true");
    const began = performance.now();
    try {
      const answer = await (await ask("output=json&include=mask,classes,image,probabilities")).json();
      const [image, classes] = await Promise.all([bitmapOf(answer.image), bitmapOf(answer.class_map)]);
      if (mine !== request) return;
      found = answer;
      hidden = new Set();
      pointer = null;
      show(image, classes);
      say(`Done in ${((performance.now() - began) / 1000).toFixed(2)} s.`);
    } catch (error) {
      if (mine === request) say(error.message, true);
    } finally {
      if (mine === request) $("drop").removeAttribute("aria-busy");
    }
  };

  const show = (image, classes) => {
    const { width, height } = found;
    for (const canvas of [picture, colours]) Object.assign(canvas, { width, height });
    picture.getContext("2d").drawImage(image, 0, 0, width, height);
    const context = colours.getContext("2d", { willReadFrequently: true });
    context.drawImage(classes, 0, 0);
    const read = context.getImageData(0, 0, width, height).data;
    map = new Uint8Array(width * height);
    for (let i = 0; i < map.length; i += 1) map[i] = read[4 * i];
    const given = found.probabilities;
    chances = given && { shape: given.shape, data: bytesOf(given.data) };
    $("title").textContent = `${file.name}: ${width} x ${height} pixels`;
    fillAreas();
    paint();
    cross.hidden = true;
    $("where").textContent = "Move over the image, or focus it and use the arrow keys.";
    $("chances").replaceChildren();
    $("result").hidden = false;
  };

  const view = () => document.querySelector("input[name=view]:checked").value;

  const paint = () => {
    const { width, height, classes } = found;
    const whole = view() === "mask";
    const table = new Uint32Array(256);
    for (const { index, name, colour } of classes) {
      if (hidden.has(index) || (!whole && name.toLowerCase() === "background")) continue;
      table[index] = (255 << 24) | (colour[2] << 16) | (colour[1] << 8) | colour[0];
    }
    const pixels = new Uint32Array(map.length);
    for (let i = 0; i < map.length; i += 1) pixels[i] = table[map[i]];
    const data = new ImageData(new Uint8ClampedArray(pixels.buffer), width, height);
    colours.getContext("2d").putImageData(data, 0, 0);
    restyle();
  };

  const restyle = () => {
    const opacity = $("opacity");
    colours.style.opacity = { overlay: opacity.value / 100, mask: 1, image: 0 }[view()];
    picture.style.visibility = view() === "mask" ? "hidden" : "visible";
    opacity.disabled = view() !== "overlay";
    $("percent").textContent = `${opacity.value} %`;
  };

  const swatch = ([red, green, blue]) => {
    const canvas = document.createElement("canvas");
    Object.assign(canvas, { width: 13, height: 13 });
    const context = canvas.getContext("2d");
    context.fillStyle = `rgb(${red} ${green} ${blue})`;
    context.fillRect(0, 0, 13, 13);
    canvas.setAttribute("aria-hidden", "true");
    return canvas;
  };

  const cell = (tag, text, name = "") => {
    const element = document.createElement(tag);
    element.textContent = text;
    element.className = name;
    return element;
  };

  const fillAreas = () => {
    const rows = found.classes.map((entry) => {
      const row = document.createElement("tr");
      const name = cell("th", "");
      name.scope = "row";
      name.append(swatch(entry.colour), entry.name);
      const box = Object.assign(document.createElement("input"), { type: "checkbox", checked: true });
      box.setAttribute("aria-label", `Show ${entry.name}`);
      box.addEventListener("change", () => {
        hidden[box.checked ? "delete" : "add"](entry.index);
        paint();
      });
      const last = cell("td", "");
      last.append(box);
      const share = `${(100 * entry.share).toFixed(entry.share && entry.share < 0.001 ? 4 : 2)} %`;
      row.append(name, cell("td", entry.pixels.toLocaleString("en"), "number"), cell("td", share, "number"), last);
      return row;
    });
    $("areas").replaceChildren(...rows);
  };

  const nameOf = (index) => (found.classes.find((entry) => entry.index === index) || { name: "ignored" }).name;

  const point = (x, y) => {
    const { width, height } = found;
    pointer = [Math.min(width - 1, Math.max(0, Math.floor(x))), Math.min(height - 1, Math.max(0, Math.floor(y)))];
    const [column, row] = pointer;
    cross.hidden = false;
    cross.style.left = `${(100 * (column + 0.5)) / width}%`;
    cross.style.top = `${(100 * (row + 0.5)) / height}%`;
    $("where").textContent = `Column ${column}, row ${row}: ${nameOf(map[row * width + column])}`;
    $("chances").replaceChildren(...(chances ? rows(column / width, row / height) : [cell("li", "No probabilities for images of this size.")]));
  };

  const rows = (left, top) => {
    const [count, height, width] = chances.shape;
    const place = Math.min(height - 1, Math.floor(top * height)) * width + Math.min(width - 1, Math.floor(left * width));
    const values = Array.from({ length: count }, (_, k) => [chances.data[k * height * width + place] / 255, k]);
    values.sort(([a], [b]) => b - a);
    return values.slice(0, SHOWN_CHANCES).map(([value, k]) => {
      const item = document.createElement("li"), line = document.createElement("div");
      line.append(cell("span", nameOf(k)), cell("b", `${Math.round(100 * value)} %`));
      const bar = Object.assign(document.createElement("progress"), { max: 1, value });
      bar.setAttribute("aria-hidden", "true");
      item.append(line, bar);
      return item;
    });
  };

  const save = (content, type, name) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([content], { type }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };
  const stem = () => (file.name || "image").replace(/\.[^.]*$/, "");

  $("file").addEventListener("change", (event) => {
    const [chosen] = event.target.files;
    if (chosen) predict(chosen);
    event.target.value = "";
  });
  for (const name of ["dragover", "dragleave", "drop"]) {
    document.addEventListener(name, (event) => {
      event.preventDefault();
      $("drop").classList.toggle("over", name === "dragover");
      if (name === "drop" && event.dataTransfer.files.length) predict(event.dataTransfer.files[0]);
    });
  }
  document.addEventListener("paste", (event) => {
    if (event.clipboardData.files.length) predict(event.clipboardData.files[0]);
  });
  $("opacity").addEventListener("input", restyle);
  for (const choice of document.querySelectorAll("input[name=view]")) choice.addEventListener("change", paint);
  stage.addEventListener("pointermove", (event) => {
    const box = stage.getBoundingClientRect();
    point(((event.clientX - box.left) / box.width) * found.width, ((event.clientY - box.top) / box.height) * found.height);
  });
  stage.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!step) return;
    event.preventDefault();
    const [x, y] = pointer || [found.width >> 1, found.height >> 1];
    const size = event.shiftKey ? 10 : 1;
    point(x + size * step[0], y + size * step[1]);
  });
  $("save-mask").addEventListener("click", () => save(bytesOf(found.mask), "image/png", `${stem()}-mask.png`));
  $("save-areas").addEventListener("click", () => {
    const { width, height, classes, ignored } = found;
    save(JSON.stringify({ width, height, classes, ignored }, null, 2), "application/json", `${stem()}-areas.json`);
  });
  $("save-outlines").addEventListener("click", async () => {
    try {
      save(await (await ask("output=geojson")).text(), "application/geo+json", `${stem()}-outlines.geojson`);
    } catch (error) {
      say(error.message, true);
    }
  });
})();
