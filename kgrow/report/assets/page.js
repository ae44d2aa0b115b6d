"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const COLORS = ["#0072b2", "#56b4e9", "#009e73", "#e69f00", "#cc79a7", "#d55e00"];
  const WORDS = {
    grew: "a block comes", pruned: "pruned", cut: "cut", resized: "larger images", removed: "channels go",
    widened: "wider", inserted: "deeper", traded: "traded", regrew: "regrown",
  };
  const HEIGHT = 300;
  const color = (number) => COLORS[number % COLORS.length];
  const grouped = (value) => Math.round(value).toString().replace(/\B(?=(\d{3})+$)/g, "\u00a0");
  const percent = (value) => (value == null ? "-" : (100 * value).toFixed(1) + " %");
  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const place = (name) => document.querySelector(`[data-chart="${name}"]`);
  // A share and its neighbourhood, also of a single point; epochs with room for what precedes the first.
  const shares = { range: (_, low, high) => [Math.max(0, low - 0.02), Math.min(1, high + 0.02)] };
  const epochs = { time: false, range: (_, low, high) => [low - 0.7, high + 0.3] };
  let charts = [];

  function axes(x, y, format) {
    const common = { stroke: style("--ink"), grid: { stroke: style("--line"), width: 1 }, ticks: { stroke: style("--line") } };
    return [
      { ...common, label: x, values: (_, ticks) => ticks.map(grouped) },
      { ...common, label: y, size: 70, values: (_, ticks) => ticks.map(format) },
    ];
  }

  function draw(name, options, values) {
    const target = place(name);
    const chart = new uPlot({ width: target.clientWidth, height: HEIGHT, ...options }, values, target);
    chart.root.setAttribute("role", "img");
    chart.root.setAttribute("aria-label", target.previousElementSibling.textContent);
    charts.push([target, chart]);
    return chart;
  }

  function lines(names, format, dashed) {
    return [
      { label: "epoch" },
      ...names.map((label, index) => ({
        label, stroke: dashed && dashed(index) ? style("--quiet") : color(index), width: 1.5,
        dash: dashed && dashed(index) ? [4, 4] : undefined, spanGaps: false, points: { show: false },
        value: (_, value) => (value == null ? "-" : format(value)),
      })),
    ];
  }

  function candidates() {
    const found = [...data.candidates].sort((a, b) => a.bytes - b.bytes);
    const details = document.getElementById("candidate");
    const best = found.findIndex((trial) => trial.is_best);
    let kept = null;
    const tell = (index) => {
      const trial = found[index == null ? best : index];
      details.textContent = [
        `trial ${trial.trial}${trial.is_best ? " (chosen)" : ""}, ${trial.status} after ${trial.epochs} epochs`,
        `validation ${percent(trial.accuracy)}, ${grouped(trial.bytes)} bytes, RAM ${grouped(trial.ram)} bytes, ` +
          `${grouped(trial.macs)} multiply-accumulates, ${grouped(trial.kept)} connections`,
        Object.entries(trial.values).map(([name, value]) => `${name} = ${value}`).join(", "),
        trial.error || "",
      ].filter(Boolean).join("\n");
    };
    const points = { size: 9, show: true };
    const chart = draw("candidates", {
      scales: { x: { time: false, range: (_, low, high) => [0.95 * low, 1.05 * high] }, y: shares },
      axes: axes("bytes of the file, as predicted", "validation accuracy", percent),
      cursor: { drag: { x: false, y: false }, focus: { prox: 30 } },
      legend: { show: false },
      series: [
        {},
        { label: "trial", stroke: color(0), paths: () => null, points: { ...points, fill: color(0) } },
        { label: "front", stroke: style("--quiet"), spanGaps: true, width: 1, points: { show: false }, paths: uPlot.paths.stepped({ align: 1 }) },
        { label: "chosen", stroke: color(5), paths: () => null, points: { ...points, size: 12, fill: color(5) } },
      ],
      hooks: { setCursor: [(own) => { if (kept == null) tell(own.cursor.idx); }] },
    }, [
      found.map((trial) => trial.bytes),
      found.map((trial) => (trial.is_best ? null : trial.accuracy)),
      found.map((trial) => (trial.on_front ? trial.accuracy : null)),
      found.map((trial) => (trial.is_best ? trial.accuracy : null)),
    ]);
    chart.over.addEventListener("click", () => {
      kept = kept === chart.cursor.idx ? null : chart.cursor.idx;
      tell(kept == null ? chart.cursor.idx : kept);
    });
    tell(best);
  }

  function marks(own) {
    const context = own.ctx;
    context.save();
    context.strokeStyle = style("--quiet");
    context.fillStyle = style("--quiet");
    context.font = `${11 * devicePixelRatio}px system-ui, sans-serif`;
    context.textAlign = "left";
    context.setLineDash([2, 4]);
    const rows = [];
    data.training.changes.forEach(({ epoch, what }) => {
      const x = own.valToPos(epoch - 0.5, "x", true);
      context.beginPath();
      context.moveTo(x, own.bbox.top);
      context.lineTo(x, own.bbox.top + own.bbox.height);
      context.stroke();
      const words = WORDS[what] || what;
      const row = rows.findIndex((end) => end < x);
      const at = row < 0 ? rows.length : row;
      if (at > 3) return;
      rows[at] = x + context.measureText(words).width + 8;
      context.fillText(words, x + 3, own.bbox.top + own.bbox.height - (6 + 13 * at) * devicePixelRatio);
    });
    context.restore();
  }

  function history() {
    const { epochs: ended, heads } = data.training;
    draw("history", {
      scales: { x: epochs, y: shares },
      axes: axes("epoch", "validation accuracy", percent),
      series: lines(heads.map((_, head) => `head ${head + 1}`), percent),
      hooks: { draw: [marks] },
    }, [ended, ...heads]);
  }

  function timeline() {
    const { epochs: ended, alive, born, died } = data.training;
    const names = [...alive.map((_, block) => `block ${block + 1}`), "came", "went"];
    draw("timeline", {
      scales: { x: epochs },
      axes: axes("epoch", "connections", grouped),
      series: lines(names, grouped, (index) => index >= alive.length),
    }, [ended, ...alive, born, died]);
  }

  function exits() {
    const points = data.exits;
    const slider = document.getElementById("threshold");
    const told = document.getElementById("exit");
    const ordered = points.map((point, index) => [point, index]).sort(([a], [b]) => a.macs - b.macs);
    const mark = (own) => {
      const point = points[slider.value];
      const context = own.ctx;
      context.save();
      context.fillStyle = color(5);
      context.beginPath();
      context.arc(own.valToPos(point.macs, "x", true), own.valToPos(point.accuracy, "y", true), 6 * devicePixelRatio, 0, 7);
      context.fill();
      context.restore();
    };
    const chart = draw("exits", {
      scales: { x: { time: false }, y: shares },
      axes: axes("multiply-accumulates an image, mean", "test accuracy", percent),
      legend: { show: false },
      series: [{}, { label: "test accuracy", stroke: color(0), width: 1.5, points: { show: false } }],
      hooks: { draw: [mark] },
    }, [ordered.map(([point]) => point.macs), ordered.map(([point]) => point.accuracy)]);
    const update = () => {
      const point = points[slider.value];
      const whole = data.costs[data.costs.length - 1];
      told.textContent = `${point.threshold}: ${percent(point.accuracy)} at ${percent(point.macs / whole)} of the work; ` +
        point.leaving.map((count, head) => `${grouped(count)} leave at head ${head + 1}`).join(", ");
    };
    slider.oninput = () => { update(); chart.redraw(); };
    update();
  }

  function all() {
    charts.forEach(([, chart]) => chart.destroy());
    charts = [];
    if (place("candidates") && data.candidates.length) candidates();
    if (place("history")) history();
    if (place("timeline")) timeline();
    if (place("exits")) exits();
  }

  document.getElementById("theme").addEventListener("click", () => {
    const root = document.documentElement;
    const isDark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = isDark ? "light" : "dark";
    all();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", all);
  addEventListener("resize", () => charts.forEach(([target, chart]) => chart.setSize({ width: target.clientWidth, height: HEIGHT })));
  all();
})();
