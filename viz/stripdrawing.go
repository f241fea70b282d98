package viz

import (
	"fmt"
	"strings"
	"unicode"
)

// A drawing of the strip has fixed letters: rows of so many columns, each so wide and high.
const (
	stripColumns = 124
	stripRows    = 90
	columnWidth  = 71 // tenths of a pixel
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
		fmt.Fprintf(&b, `<text x="10" y="%d" font-weight="bold">%s</text>`, 22+titleLine*i, svgText(l))
	}
	// The letters stand on paper: over a tint, no ink can be read on white and on black.
	fmt.Fprintf(&b, `<rect x="4" y="%d" width="%d" height="%d" rx="4" fill="#fff"/>`, head-4, width-8, height-head)
	b.WriteString(`<g font-family="Liberation Mono,Menlo,Consolas,monospace" font-size="11.8" fill="#111">`)
	grounds(&b, pieces, 10, head)
	lettering(&b, pieces, 10, head)
	var scale []piece
	for i, l := range []int{0, 2, 4, 6, 8} {
		scale = append(scale, piece{column: 7 * i, columns: 6, level: l, text: fmt.Sprintf("%4d %%", 100*l/levels)})
	}
	y := head + rowHeight*(row+1) + 14
	grounds(&b, scale, 10, y)
	lettering(&b, scale, 10, y)
	x := 20 + columnWidth*7*len(scale)/10
	fmt.Fprintf(&b, `</g><text x="%d" y="%d" font-size="12">of the heads keep the token</text></svg>`, x, y+12)
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

// grounds tints what stands behind the letters, all pieces of a level at once.
func grounds(b *strings.Builder, pieces []piece, left, top int) {
	for level := 1; level <= levels; level++ {
		var path strings.Builder
		for _, p := range pieces {
			if p.level == level {
				wide := tenths(columnWidth * p.columns)
				fmt.Fprintf(&path, "M%s,%dh%sv%dh-%sz", tenths(10*left+columnWidth*p.column), top+rowHeight*p.row, wide, rowHeight-1, wide)
			}
		}
		if path.Len() > 0 {
			fmt.Fprintf(b, `<path fill="#0072b2" fill-opacity="%.2g" d="%s"/>`, opacity(level), path.String())
		}
	}
}

// lettering writes the texts of pieces, stretched to their columns whatever the reader's font. Neighbours of one ink are one
// text, unless two blanks meet, of which readers of SVG drop one.
func lettering(b *strings.Builder, pieces []piece, left, top int) {
	for i := 0; i < len(pieces); {
		first, text := pieces[i], pieces[i].text
		for i++; i < len(pieces) && first.joins(pieces[i], text); i++ {
			text += pieces[i].text
		}
		text = strings.TrimRightFunc(text, unicode.IsSpace)
		shown := strings.TrimLeftFunc(text, unicode.IsSpace)
		if shown == "" { // blanks at the ends are left out, for readers of SVG drop them in their own ways
			continue
		}
		pale := ""
		if first.level == 0 {
			pale = ` opacity=".55"`
		}
		x := 10*left + columnWidth*(first.column+columnsIn(text)-columnsIn(shown))
		fmt.Fprintf(b, `<text x="%s" y="%d" textLength="%s"%s>%s</text>`, tenths(x), top+rowHeight*first.row+12, tenths(columnWidth*columnsIn(shown)), pale, svgText(shown))
	}
}

// joins reports whether a piece goes on where a text that began with p ends.
func (p piece) joins(next piece, text string) bool {
	return next.row == p.row && (next.level == 0) == (p.level == 0) && next.column == p.column+columnsIn(text) &&
		!(strings.HasSuffix(text, " ") && strings.HasPrefix(next.text, " "))
}
