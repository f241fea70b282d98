// Replaces the picture of a chart by the interactive chart, if ECharts can be had. ECharts is loaded once for all charts
// of a page; the promise of it hangs on the page under a symbol, so no name is taken. The picture goes only when the
// chart stands.
(function (id, height, option, elsewhere) {
  var page = window, shared = Symbol.for("kvnotes.echarts");
  var boxes = document.querySelectorAll('[data-kvnotes="' + id + '"]:not([data-drawn])');
  if (!boxes.length) return;

  // Addresses where ECharts may be: the kernels' folders on the notebook server, beside a saved page, elsewhere.
  function addresses() {
    var base = document.body && document.body.dataset.baseUrl, config = document.getElementById("jupyter-config-data");
    try { if (!base && config) base = JSON.parse(config.textContent).baseUrl; } catch (e) { /* not Jupyter's */ }
    var folders = base ? ["kvnotes/", "kvnotes-cuda/"].map(function (name) { return base.replace(/\/?$/, "/") + "kernelspecs/" + name; }) : [""];
    return folders.map(function (folder) { return folder + "echarts.min.js"; }).concat(elsewhere);
  }
  function load(address) {
    return new Promise(function (found, missing) {
      if (typeof page.define === "function" && page.define.amd && typeof page.require === "function") {
        page.require([new URL(address, document.baseURI).href], function (e) { e && e.init ? found(e) : missing(); }, missing);
        return;
      }
      var script = document.createElement("script");
      script.src = address;
      script.onload = function () { page.echarts ? found(page.echarts) : missing(); };
      script.onerror = missing;
      document.head.appendChild(script);
    });
  }
  if (!page[shared]) {
    page[shared] = page.echarts ? Promise.resolve(page.echarts) : addresses().reduce(function (tried, address) {
      return tried.catch(function () { return load(address); });
    }, Promise.reject());
    page[shared].catch(function () { delete page[shared]; });
  }
  function draw(echarts, box) {
    var place = document.createElement("div"), picture = box.querySelector("img");
    place.style.height = height + "px";
    box.appendChild(place);
    try {
      var chart = echarts.init(place, null, { renderer: "canvas" });
      chart.setOption(option);
      if (picture) picture.remove();
      if (page.ResizeObserver) new ResizeObserver(function () { if (place.clientWidth) chart.resize(); }).observe(place);
    } catch (e) {
      place.remove();
    }
  }
  boxes.forEach(function (box) { box.dataset.drawn = "no"; });
  page[shared].then(function (echarts) {
    boxes.forEach(function (box) { if (box.dataset.drawn === "no") { box.dataset.drawn = "yes"; draw(echarts, box); } });
  }, function () {
    boxes.forEach(function (box) { delete box.dataset.drawn; });
  });
})
