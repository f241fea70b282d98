// Package viz draws what a press does: which pairs each layer and head keeps, what it thought of them, what that
// costs in memory, time and answers. A chart is shown by any notebook kernel that knows gophernotes' conventions:
// interactive where ECharts is at hand, else as a picture, and always with a summary in words. Its title says what it
// found.
//
// Charts come in pairs: Retained(session) reads a session, RetainedOf(data) draws numbers from elsewhere. Broken
// numbers give a chart that says what is wrong with them.
//
// Shapes and units: data is [layer][KV head][pair]; positions in tokens, ratios are shares removed, memory in bytes and shown as
// MiB, times in milliseconds; a chart is 900 pixels wide.
package viz

import (
	"fmt"
	"html"
	"path/filepath"
	"strings"

	"github.com/kvnotes/kvnotes/internal/file"
)

// A Chart is one picture with its words.
type Chart struct {
	title   string
	summary string
	option  map[string]interface{} // for ECharts; nil for a chart of plain text
	svg     string
	png     func() ([]byte, error)
	page    string // hypertext of a chart of plain text
	height  int    // in pixels
}

// Title says what the chart found.
func (c *Chart) Title() string { return c.title }

// Text says the numbers in words.
func (c *Chart) Text() string { return strings.TrimSpace(c.title + "\n" + c.summary) }

// String is Text.
func (c *Chart) String() string { return c.Text() }

// Option is the chart as ECharts takes it: maps, lists, numbers and texts. It is nil for a chart of plain text. Do not
// change it.
func (c *Chart) Option() map[string]interface{} { return c.option }

// SVG is the chart as a drawing, 900 pixels wide, on a transparent ground.
func (c *Chart) SVG() string { return c.svg }

// PNG is the chart as a picture of dots, 900 pixels wide, on a transparent ground; nil when it cannot be drawn so.
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

// SimpleRender is the chart in all its formats, by their MIME types.
func (c *Chart) SimpleRender() map[string]interface{} {
	return map[string]interface{}{"text/html": c.HTML(), "image/svg+xml": c.svg, "text/plain": c.Text()}
}

// Save writes the chart to a file, as its name ends: .html, .svg or .png.
func (c *Chart) Save(path string) error {
	var text []byte
	switch ext := strings.ToLower(filepath.Ext(path)); ext {
	case ".html":
		text = []byte(c.document())
	case ".svg":
		text = []byte(c.svg)
	case ".png":
		text = c.PNG()
	default:
		return fmt.Errorf("saving a chart: %s ends with %q: use .html, .svg or .png", path, ext)
	}
	if len(text) == 0 {
		return fmt.Errorf("saving a chart: %s: this chart has no such form: use .html", path)
	}
	if err := file.Replace(path, 0o644, file.Bytes(text)); err != nil {
		return fmt.Errorf("saving a chart: %w", err)
	}
	return nil
}

// failed is a chart that says why there is none.
func failed(what string, err error) *Chart {
	text := what + ": " + err.Error()
	lines := wrap(text, 110)
	svg := fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="14" fill="%s">`, width, 16+20*len(lines), css(hues[4]))
	for i, l := range lines {
		svg += fmt.Sprintf(`<text x="10" y="%d">%s</text>`, 22+20*i, svgText(l))
	}
	return &Chart{title: text, svg: svg + "</svg>", page: fmt.Sprintf(`<div style="color:%s">%s</div>`, css(hues[4]), html.EscapeString(text))}
}
