(() => {
  // The slider over the sample grids.
  const slider = document.getElementById("when");
  if (slider) {
    const frames = document.querySelectorAll("#frames > .frame");
    const show = () => {
      const chosen = Number(slider.value);
      frames.forEach((frame, number) => { frame.hidden = number !== chosen; });
      const text = "step " + frames[chosen].dataset.step;
      document.getElementById("at").textContent = text;
      slider.setAttribute("aria-valuetext", text);
    };
    slider.addEventListener("input", show);
    slider.hidden = frames.length < 2;
    slider.closest(".slider").hidden = false;
    show();
  }

  // The charts: Plotly is packed into the page.
  const charts = document.querySelectorAll(".chart .plot");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const ofPaper = "#1c2024";
  const ink = () => getComputedStyle(document.body).color;
  const paper = () => getComputedStyle(document.body).backgroundColor;
  const load = async () => {
    const packed = document.getElementById("plotly").textContent;
    const bytes = Uint8Array.from(atob(packed), letter => letter.charCodeAt(0));
    const unpacked = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const script = document.createElement("script");
    script.textContent = await new Response(unpacked).text();
    document.head.append(script);
  };
  const grid = "rgba(128, 128, 128, 0.25)";
  const axis = { gridcolor: grid, zerolinecolor: grid, automargin: true, ticks: "outside" };
  const layout = (plot, curves) => ({
    height: 250,
    margin: { l: 40, r: 12, t: 24, b: 36 },
    font: { size: 12, family: "system-ui, sans-serif", color: ink() },
    paper_bgcolor: "rgba(0, 0, 0, 0)",
    plot_bgcolor: "rgba(0, 0, 0, 0)",
    showlegend: false,
    // A finger scrolls the page; a mouse zooms.
    dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
    hovermode: curves.length > 12 ? "closest" : "x unified",
    hoverlabel: { namelength: -1, bgcolor: paper(), font: { color: ink() } },
    modebar: { bgcolor: "rgba(0, 0, 0, 0)", color: "#888", activecolor: "#3a86c8" },
    xaxis: { ...axis, title: { text: "step", standoff: 4 }, tickformat: "~s", nticks: 6,
      hoverformat: ",.0f", rangemode: "tozero" },
    yaxis: { ...axis, ...(plot.dataset.log === "1"
      ? { type: "log", nticks: 3, tickformat: "~g" } // Of four, digits stand on each other.
      : { type: "linear", nticks: 7, exponentformat: "e" }),
      rangemode: plot.dataset.zero === "1" ? "tozero" : "normal", hoverformat: ".4~g" },
  });
  const draw = async plot => {
    const data = JSON.parse(plot.dataset.traces);
    await Plotly.newPlot(plot, data, layout(plot, data), {
      responsive: true, displaylogo: false,
      // By name: Plotly's own choice has a button that sends the chart away.
      modeBarButtons: [["toImage"], ["zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"]],
      toImageButtonOptions: { filename: plot.getAttribute("aria-label"), scale: 2 },
    });
    // An entry of the legend shows and hides its curves.
    plot.closest(".chart").querySelectorAll(".legend button").forEach(button => {
      button.disabled = false;
      button.addEventListener("click", () => {
        const on = button.getAttribute("aria-pressed") !== "true";
        button.setAttribute("aria-pressed", on);
        const own = data.flatMap(
          (curve, number) => curve.legendgroup === button.value ? [number] : []);
        Plotly.restyle(plot, { visible: on }, own);
      });
    });
  };
  const start = async () => {
    await load();
    for (const plot of charts) await draw(plot);
    const paint = colour => {
      charts.forEach(plot => Plotly.relayout(plot, {
        "font.color": colour, "hoverlabel.font.color": colour, "hoverlabel.bgcolor": paper(),
      }));
    };
    dark.addEventListener("change", () => paint(ink()));
    addEventListener("beforeprint", () => paint(ofPaper));
    addEventListener("afterprint", () => paint(ink()));
    document.body.dataset.drawn = "true";
  };
  const fail = error => {
    charts.forEach(plot => { plot.textContent = "This browser cannot draw the curves: " + error; });
  };
  if (charts.length) start().catch(fail);
})();
