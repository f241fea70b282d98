package viz

import (
	"fmt"
	"html"
	"strings"
	"unicode"
)

// A drawing of the strip has fixed letters: rows of so many columns, each so wide and high.
const (
	stripColumns = 124
	stripRows    = 90
	columnWidth  = 7.1
	rowHeight    = 17
)

// A piece is a part of a run in one row of the drawing.
type piece struct {
	row, column, columns int
	level                int
	text                 string
}

// drawing is the strip as SVG, with its letters; false when the text is too long for a picture that can be read.
func (c counted) drawing(title string, runs []run) (string, bool) {
	var pieces []piece
	row, column := 0, 0
	for _, r := range runs {
		if n := columnsIn(c.text(r)); r.to-r.from == 1 && n <= stripColumns && column+n > stripColumns {
			row, column = row+1, 0 // a token stays in one row
		}
		p := piece{row: row, column: column, level: r.level}
		var text strings.Builder
		flush := func() {
			if p.text = text.String(); p.text != "" {
				pieces = append(pieces, p)
			}
			text.Reset()
			p.row, p.column, p.columns = row, column, 0
		}
		for _, letter := range c.text(r) {
			wide := columnsOf(letter)
			if letter == '\n' || column+wide > stripColumns {
				row, column = row+1, 0
				flush()
			}
			if wide == 0 {
				continue
			}
			text.WriteRune(letter)
			column, p.columns = column+wide, p.columns+wide
		}
		flush()
	}
	if row >= stripRows || len(pieces) == 0 {
		return "", false
	}
	lines := wrap(title, 124)
	head := 14 + titleLine*len(lines)
	height := head + rowHeight*(row+1) + 38
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" fill="%s" font-family="sans-serif" font-size="14">`, width, height, width, height, css(ink))
	for i, l := range lines {
		fmt.Fprintf(&b, `<text x="10" y="%d" font-weight="bold">%s</text>`, 22+titleLine*i, html.EscapeString(l))
	}
	// The letters stand on paper: over a tint, no ink can be read on white and on black.
	fmt.Fprintf(&b, `<rect x="4" y="%d" width="%d" height="%d" rx="4" fill="#fff"/>`, head-4, width-8, height-head)
	b.WriteString(`<g font-family="Liberation Mono,Menlo,Consolas,monospace" font-size="11.8" fill="#111">`)
	for _, p := range pieces {
		p.draw(&b, head)
	}
	x := 10
	y := head + rowHeight*(row+1) + 14
	for _, l := range []int{0, 2, 4, 6, 8} {
		piece{level: l, columns: 6, text: fmt.Sprintf("%4d %%", 100*l/levels)}.at(&b, float64(x), float64(y))
		x += 52
	}
	fmt.Fprintf(&b, `</g><text x="%d" y="%d" font-size="12">of the heads keep the token</text></svg>`, x+4, y+12)
	return b.String(), true
}

// columnsOf is the room of a letter: two columns for wide scripts, none for what does not show.
func columnsOf(letter rune) int {
	switch {
	case letter == '\t':
		return 1
	case unicode.IsControl(letter) || unicode.Is(unicode.Mn, letter) || unicode.Is(unicode.Cf, letter):
		return 0
	case letter >= 0x1100 && (unicode.In(letter, unicode.Han, unicode.Hangul, unicode.Hiragana, unicode.Katakana) || letter >= 0x1f000):
		return 2
	}
	return 1
}

func columnsIn(text string) int {
	n := 0
	for _, letter := range text {
		n += columnsOf(letter)
	}
	return n
}

func (p piece) draw(b *strings.Builder, top int) {
	p.at(b, 10+columnWidth*float64(p.column), float64(top+rowHeight*p.row))
}

// at draws the ground of a piece and its letters, stretched to its columns whatever the reader's font.
func (p piece) at(b *strings.Builder, x, y float64) {
	wide := columnWidth * float64(p.columns)
	if p.level > 0 {
		fmt.Fprintf(b, `<rect x="%.1f" y="%.0f" width="%.1f" height="%d" fill="rgb(0,114,178)" fill-opacity="%.2g"/>`, x, y, wide, rowHeight-1, opacity(p.level))
	}
	text := strings.TrimRightFunc(p.text, unicode.IsSpace)
	letters := strings.TrimLeftFunc(text, unicode.IsSpace)
	if letters == "" { // blanks at the ends are left out, for readers of SVG drop them in their own ways
		return
	}
	x += columnWidth * float64(columnsIn(text)-columnsIn(letters))
	wide = columnWidth * float64(columnsIn(letters))
	pale := ""
	if p.level == 0 {
		pale = ` opacity=".55"`
	}
	fmt.Fprintf(b, `<text x="%.1f" y="%.0f" textLength="%.1f"%s>%s</text>`, x, y+12, wide, pale, html.EscapeString(letters))
}
