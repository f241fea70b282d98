package viz

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"os"
	"strings"
)

// echartsAddress is where ECharts is fetched from when it is neither on the notebook server nor beside the page;
// KVNOTES_ECHARTS_URL overrides it.
const echartsAddress = "https://cdn.jsdelivr.net/npm/echarts@5.6.0/dist/echarts.min.js"

//go:embed upgrade.js
var upgradeSource string

// upgrade is upgrade.js without its comments and indentation, for it travels with every chart.
var upgrade = shorten(upgradeSource)

func shorten(script string) string {
	var lines []string
	for _, l := range strings.Split(script, "\n") {
		if l = strings.TrimSpace(l); l != "" && !strings.HasPrefix(l, "//") {
			lines = append(lines, l)
		}
	}
	return strings.Join(lines, "\n")
}

// id is the same for the same chart, so that running a notebook again changes nothing in the file.
func (c *Chart) id() string {
	sum := sha256.Sum256([]byte(c.title + c.svg + c.page))
	return hex.EncodeToString(sum[:6])
}

// HTML is the chart for a page: the picture, which becomes the interactive chart where ECharts is found. It is looked
// for in the kernel's folder on the notebook server, then beside the page, then at the address in KVNOTES_ECHARTS_URL
// or a public one. The picture is an image with its data inside, for notebooks that are not trusted show images and
// drop drawings and scripts. A chart of plain text needs neither.
func (c *Chart) HTML() string {
	if c.option == nil {
		return c.page
	}
	address := os.Getenv("KVNOTES_ECHARTS_URL")
	if address == "" {
		address = echartsAddress
	}
	option, err := json.Marshal(c.option) // writes <, > and & as escapes, so that no text can end the script
	if err != nil {
		return c.page
	}
	elsewhere, err := json.Marshal(address)
	if err != nil {
		return c.page
	}
	return fmt.Sprintf(`<div data-kvnotes="%s" style="width:%dpx;max-width:100%%"><img alt="%s" style="width:100%%;height:auto" src="data:image/svg+xml;base64,%s"></div><script>%s("%s",%d,%s,%s);</script>`,
		c.id(), width, html.EscapeString(c.Text()), base64.StdEncoding.EncodeToString([]byte(c.svg)), strings.TrimSpace(upgrade), c.id(), c.height, option, elsewhere)
}

// document is the chart as a page of its own, light or dark as the reader likes it.
func (c *Chart) document() string {
	return `<!DOCTYPE html><html><head><meta charset="utf-8"><meta name="color-scheme" content="light dark"><title>` + html.EscapeString(c.title) +
		`</title></head><body style="font-family:sans-serif">` + c.HTML() + "</body></html>\n"
}
