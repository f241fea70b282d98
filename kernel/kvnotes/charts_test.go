//go:build !windows

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// codeOf reads the code cells of one of the project's notebooks.
func codeOf(t *testing.T, notebook string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "notebooks", notebook))
	if err != nil {
		t.Fatal(err)
	}
	var book struct {
		Cells []struct {
			Kind   string   `json:"cell_type"`
			Source []string `json:"source"`
		} `json:"cells"`
	}
	if err := json.Unmarshal(text, &book); err != nil {
		t.Fatal(err)
	}
	var code []string
	for _, c := range book.Cells {
		if c.Kind == "code" {
			code = append(code, strings.Join(c.Source, ""))
		}
	}
	return code
}

// ended runs a cell and waits for its end.
func (l *lab) ended(cell int) {
	l.t.Helper()
	l.run(cell)
	l.wait(fmt.Sprintf("cell %d has ended", cell), fmt.Sprintf(`document.querySelectorAll('.jp-Notebook .jp-CodeCell')[%d].querySelector('.jp-InputPrompt').innerText.match(/\[\d+\]/)`, cell))
	var failed string
	l.value(fmt.Sprintf(`[...document.querySelectorAll('.jp-Notebook .jp-CodeCell')[%d].querySelectorAll('.jp-OutputArea-output[data-mime-type="application/vnd.jupyter.stderr"], .jp-OutputArea-output[data-mime-type="application/vnd.jupyter.error"]')].map(o => o.innerText).join()`, cell), &failed)
	if failed != "" {
		l.t.Fatalf("cell %d: %s", cell, failed)
	}
}

// A drawn chart is one as the page has it.
type drawn struct {
	ID       string
	Title    string
	Canvas   bool
	Image    bool
	Want     int // data items of the option that came with it
	Marks    int // data items that ECharts holds
	Shapes   int // things on the canvas
	Coloured float64
}

// charts is what all charts of the page look like.
const charts = `[...document.querySelectorAll('[data-kvnotes]')].map(box => {
	const canvas = box.querySelector('canvas'), image = box.querySelector('img');
	const c = canvas && echarts.getInstanceByDom(box.lastElementChild);
	const d = {ID: box.dataset.kvnotes, Title: '', Canvas: !!c, Image: !!image && image.complete && image.naturalWidth > 0, Want: 0, Marks: 0, Shapes: 0, Coloured: 0};
	if (!c) { d.Title = image ? image.alt.split('\n')[0] : ''; return d; }
	const script = [...box.parentElement.querySelectorAll('script')].map(s => s.textContent).find(s => s.includes('"' + d.ID + '"'));
	d.Title = (c.getOption().title || [{}])[0].text || '';
	c.getModel().eachSeries(s => { d.Marks += s.getRawData().count(); });
	if (script) {
		const from = script.lastIndexOf('})("' + d.ID);
		const given = new Function('return [' + script.slice(from + 3).replace(/\);?\s*$/, '') + ']')()[2];
		for (const s of [].concat(given.series || [])) d.Want += (s.data || []).length;
	}
	d.Shapes = c.getZr().storage.getDisplayList(true).length;
	const p = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
	let some = 0; for (let i = 3; i < p.length; i += 4) if (p[i]) some++;
	d.Coloured = some / (p.length / 4);
	return d;
})`

// TestGalleryInJupyterLab looks at every chart of the gallery in a real browser without a network.
func TestGalleryInJupyterLab(t *testing.T) {
	cells := codeOf(t, "gallery.ipynb")
	l := openLab(t, cells)
	for i := range cells {
		l.ended(i)
	}
	l.wait("the last check holds", output(len(cells)-1)+`.includes('true: the timeline ends')`)
	var echarts bool
	l.value(`[...document.querySelectorAll('[data-kvnotes]')].some(b => b.dataset.drawn == 'yes')`, &echarts)
	for _, theme := range []string{"JupyterLab Light", "JupyterLab Dark"} {
		l.do(chromedp.Evaluate(fmt.Sprintf(`jupyterapp.commands.execute('apputils:change-theme', {theme: %q}); 0`, theme), nil))
		l.wait("the theme is there", fmt.Sprintf(`document.body.dataset.jpThemeName == %q`, theme))
		var all []drawn
		l.value(charts, &all)
		if len(all) < 15 {
			t.Errorf("%s: %d charts", theme, len(all))
		}
		for i, c := range all {
			switch {
			case c.Title == "":
				t.Errorf("%s: chart %d has no title", theme, i)
			case !c.Canvas && !c.Image:
				t.Errorf("%s: %q is neither a canvas nor a picture", theme, c.Title)
			case c.Canvas && (c.Marks != c.Want || c.Marks == 0 || c.Shapes < 10 || c.Coloured < 0.01):
				t.Errorf("%s: %q: %d marks of %d, %d shapes, %.2f %% of the canvas", theme, c.Title, c.Marks, c.Want, c.Shapes, 100*c.Coloured)
			case c.Canvas != echarts:
				t.Errorf("%s: %q: canvas %v, of others %v", theme, c.Title, c.Canvas, echarts)
			}
			l.do(chromedp.Evaluate(fmt.Sprintf(`document.querySelectorAll('[data-kvnotes]')[%d].scrollIntoView({block: 'center'})`, i), nil))
			l.shot(fmt.Sprintf("%s-%02d", strings.ToLower(strings.Fields(theme)[1]), i))
		}
		// The text itself is drawn without ECharts: every stretch of it tells who keeps it.
		var strip struct{ Stretches, Silent, Tokens int }
		l.value(`(() => { const all = [...document.querySelectorAll('.jp-OutputArea-output span[title]')].filter(s => /head/.test(s.title));
			return {Stretches: all.length, Silent: all.filter(s => !s.innerText).length, Tokens: all.map(s => s.innerText).join('').length} })()`, &strip)
		if strip.Stretches < 50 || strip.Silent > 0 || strip.Tokens < 2000 {
			t.Errorf("%s: the text has %d stretches, %d of them empty, %d letters", theme, strip.Stretches, strip.Silent, strip.Tokens)
		}
		t.Logf("%s: %d charts, interactive: %v; a text of %d stretches", theme, len(all), echarts, strip.Stretches)
	}
	if echarts {
		l.hover()
	}
	if len(l.bad) > 0 {
		t.Errorf("the page reports %s", strings.Join(l.bad, "\n"))
	}
}

// hover moves the mouse to the heat map of pairs kept and reads what comes up.
func (l *lab) hover() {
	l.t.Helper()
	var at struct{ X, Y float64 }
	l.value(`(() => { for (const box of document.querySelectorAll('[data-kvnotes]')) {
		const c = echarts.getInstanceByDom(box.lastElementChild), s = c && c.getModel().getSeriesByType('heatmap')[0];
		if (!s || !/layer \d+, head \d+/.test(s.getRawData().getName(0))) continue;
		box.scrollIntoView({block: 'center'});
		const p = c.convertToPixel({seriesIndex: s.seriesIndex}, [s.getRawData().get('x', 0), s.getRawData().get('y', 0)]), r = box.lastElementChild.getBoundingClientRect();
		window.hovered = box;
		return {X: r.x + p[0], Y: r.y + p[1]};
	} return {X: -1, Y: -1} })()`, &at)
	if at.X < 0 {
		l.t.Fatal("there is no heat map of heads")
	}
	l.do(chromedp.MouseEvent(input.MouseMoved, at.X-3, at.Y), chromedp.MouseEvent(input.MouseMoved, at.X, at.Y))
	l.wait("a cell tells its layer, head and pairs", `/layer \d+, head \d+: \d+ of \d+ pairs/.test(hovered.innerText)`)
	l.shot("hover")
}

// moves presses the right arrow on the slider of the ratio, as often as told, and waits each time for the new numbers,
// text and picture. It gives the milliseconds of each.
const moves = `(async times => {
	const slider = [...document.querySelectorAll('.widget-slider, .jupyter-widget-slider')].find(s => s.innerText.includes('removed')), handle = slider.querySelector('.noUi-handle');
	const page = handle.closest('.jp-OutputArea-output'), took = [];
	const shown = () => ([...page.querySelectorAll('.widget-html-content, .jupyter-widgets-html-content')].find(h => h.innerText.includes('pairs stay')) || {}).innerText + page.querySelector('img').src;
	for (let i = 0; i < times; i++) {
		const before = shown(), image = page.querySelector('img').src, began = performance.now();
		handle.dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowRight', bubbles: true, cancelable: true}));
		while (shown() == before || page.querySelector('img').src == image) {
			await new Promise(requestAnimationFrame);
			if (performance.now() - began > 10000) throw new Error('move ' + i + ' shows nothing new: ' + before.slice(0, 100));
		}
		took.push(performance.now() - began);
	}
	return took;
})`

// TestTunerInJupyterLab moves the tuner's slider in a real browser.
func TestTunerInJupyterLab(t *testing.T) {
	cells := codeOf(t, "tuner.ipynb")
	l := openLab(t, cells)
	l.ended(0)
	l.ended(1)
	l.wait("the page is drawn", `document.querySelector('.jupyter-widgets .noUi-handle') && document.body.innerText.includes('pairs stay') && document.querySelector('.jp-OutputArea-output img') && document.querySelector('.jp-OutputArea-output img').complete`)
	l.drag(-0.2)
	l.wait("the drag's last value is shown", `/6[6-9](\.\d)? %|7[0-2](\.\d)? %/.test(document.body.innerText)`)
	var took []float64
	l.do(chromedp.Evaluate(moves+"(50)", &took, func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }))
	slices.Sort(took)
	t.Logf("50 moves at about 2,000 tokens: median %.0f ms, slowest %.0f ms from the key to the new picture", took[25], took[49])
	if took[25] > 150 {
		t.Errorf("a move takes %.0f ms, at most 150 are wanted", took[25])
	}
	l.shot("moved")
	for i := 2; i < len(cells); i++ {
		l.ended(i)
	}
	l.wait("the last check holds", output(len(cells)-1)+`.includes('true: nonsense is refused')`)
	l.shot("asked")
	if len(l.bad) > 0 {
		t.Errorf("the page reports %s", strings.Join(l.bad, "\n"))
	}
}
