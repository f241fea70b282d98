// Package viz draws what a press does: which pairs each layer and head keeps, what it thought of them, what that
// costs in answers. A chart is shown by any notebook kernel that knows gophernotes' conventions: interactive where
// ECharts is at hand, else as a picture, and always with a summary in words.
package viz

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"os"
	"path/filepath"
	"strings"
)

// A Chart is one picture.
type Chart struct {
	title   string
	summary string
	option  map[string]interface{} // for ECharts; nil for a chart that is plain text
	svg     string
	png     func() ([]byte, error)
	page    string // hypertext of a chart that is plain text
	width   int
	height  int
}

// Title says what the chart found.
func (c *Chart) Title() string { return c.title }

// Text says the numbers in words.
func (c *Chart) Text() string { return c.title + "\n" + c.summary }

// String is Text.
func (c *Chart) String() string { return c.Text() }

// Option is the chart as ECharts takes it; nil for a chart that is plain text. Do not change it.
func (c *Chart) Option() map[string]interface{} { return c.option }

// SVG is the chart as a drawing.
func (c *Chart) SVG() string { return c.svg }

// PNG is the chart as a picture of dots; empty when it cannot be drawn so.
func (c *Chart) PNG() []byte {
	if c.png == nil {
		return nil
	}
	b, err := c.png()
	if err != nil {
		return nil
	}
	return b
}

// id is the same for the same chart, so that running a notebook again changes nothing in the file.
func (c *Chart) id() string {
	sum := sha256.Sum256([]byte(c.title + c.svg + c.page))
	return "kvnotes-" + hex.EncodeToString(sum[:6])
}

// echartsAddress is where ECharts is fetched from when the notebook server has no copy; KVNOTES_ECHARTS_URL
// overrides it.
const echartsAddress = "https://cdn.jsdelivr.net/npm/echarts@5.6.0/dist/echarts.min.js"

// HTML is the chart for a page: the drawing, which becomes the interactive chart when ECharts is found, first in the
// kernel's own folder on the notebook server, then at the address above. A chart of plain text needs no script.
func (c *Chart) HTML() string {
	if c.option == nil {
		return c.page
	}
	address := os.Getenv("KVNOTES_ECHARTS_URL")
	if address == "" {
		address = echartsAddress
	}
	option, err := json.Marshal(c.option) // escapes <, > and &, so that no text can end the script
	if err != nil {
		option = []byte("null")
	}
	elsewhere, _ := json.Marshal(address) // text is always encodable
	picture := base64.StdEncoding.EncodeToString([]byte(c.svg))
	id := c.id()
	return fmt.Sprintf(`<div id="%s" style="width:%dpx;max-width:100%%;height:%dpx"><img alt="%s" style="max-width:100%%;height:100%%" src="data:image/svg+xml;base64,%s"></div><script>%s</script>`,
		id, c.width, c.height, html.EscapeString(c.title), picture, strings.NewReplacer("CHART_ID", id, "CHART_OPTION", string(option), "CHART_ADDRESS", string(elsewhere)).Replace(upgrade))
}

// upgrade replaces the drawing by the interactive chart. One promise per page loads ECharts, whatever the number of
// charts; under RequireJS the library's define is hidden while it loads, so that it becomes a global as elsewhere.
const upgrade = `(function(){
var box=document.getElementById("CHART_ID");if(!box||box.dataset.drawn)return;box.dataset.drawn="1";
function base(){var b=document.body&&document.body.dataset.baseUrl;if(b)return b;var e=document.getElementById("jupyter-config-data");
try{if(e)return JSON.parse(e.textContent).baseUrl}catch(x){}return "/"}
function load(u){return new Promise(function(ok,no){var s=document.createElement("script"),d=window.define;s.src=u;
s.onload=function(){window.define=d;window.echarts?ok(window.echarts):no()};s.onerror=function(){window.define=d;no()};
if(d&&d.amd)window.define=undefined;document.head.appendChild(s)})}
var w=window;if(!w.kvnotesECharts)w.kvnotesECharts=w.echarts?Promise.resolve(w.echarts):
load(base().replace(/\/?$/,"/")+"kernelspecs/kvnotes/echarts.min.js").catch(function(){return load(CHART_ADDRESS)});
w.kvnotesECharts.then(function(e){if(!box.isConnected)return;
var dark=document.body.dataset.jpThemeLight==="false"||(!document.body.dataset.jpThemeLight&&w.matchMedia&&w.matchMedia("(prefers-color-scheme: dark)").matches);
box.textContent="";var chart=e.init(box,dark?"dark":null,{renderer:"canvas"});var o=CHART_OPTION;o.backgroundColor="transparent";chart.setOption(o);
w.addEventListener("resize",function(){if(box.isConnected)chart.resize()})}).catch(function(){w.kvnotesECharts=null;delete box.dataset.drawn});
})();`

// SimpleRender is the chart in all its formats.
func (c *Chart) SimpleRender() map[string]interface{} {
	m := map[string]interface{}{"text/plain": c.Text(), "text/html": c.HTML()}
	if c.svg != "" {
		m["image/svg+xml"] = c.svg
	}
	return m
}

// Save writes the chart to a file, as its name ends: .html, .svg or .png.
func (c *Chart) Save(path string) error {
	var text []byte
	switch ext := strings.ToLower(filepath.Ext(path)); ext {
	case ".html":
		text = []byte("<!DOCTYPE html><html><head><meta charset=\"utf-8\"><title>" + html.EscapeString(c.title) + "</title></head><body>" + c.HTML() + "</body></html>\n")
	case ".svg":
		text = []byte(c.svg)
	case ".png":
		text = c.PNG()
	default:
		return fmt.Errorf("saving a chart: %s ends with %q: use .html, .svg or .png", path, ext)
	}
	if len(text) == 0 {
		return fmt.Errorf("saving a chart: this chart has no such form: use .html")
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".chart-")
	if err != nil {
		return fmt.Errorf("saving a chart: %w", err)
	}
	defer os.Remove(f.Name())
	if _, err := f.Write(text); err != nil {
		f.Close()
		return fmt.Errorf("saving a chart: %w", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("saving a chart: %w", err)
	}
	return os.Rename(f.Name(), path)
}

// failed is a chart that says why there is none.
func failed(what string, err error) *Chart {
	text := what + ": " + err.Error()
	return &Chart{title: text, page: `<div style="color:#b00020;font-family:sans-serif">` + html.EscapeString(text) + `</div>`}
}
