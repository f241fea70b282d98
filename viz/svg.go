package viz

import (
	"encoding/xml"
	"fmt"
	"image"
	"image/color"
	"io"
	"math"
	"strconv"
	"strings"

	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/vg"
)

// An svgCanvas writes what is drawn on it as SVG, in pixels with ten steps each. Charts are stored in notebooks and carried
// in pages, so they are short: paths lead from place to place, neighbours of one look are one path, and a row of texts says
// its font once. The canvas of gonum takes four times the room.
type svgCanvas struct {
	width, height vg.Length
	body          strings.Builder
	run           string // how the element that is open ends; "" when none is
	look          string // of the element that is open
	x, y          int    // the end of the open path, in steps
	states        []svgState
}

// An svgState is what Push keeps and Pop brings back. A point (x, y) is drawn at (ax + cy + e, bx + dy + f).
type svgState struct {
	color            color.Color
	width            vg.Length
	dashes           []vg.Length
	offset           vg.Length
	a, b, c, d, e, f float64
}

func newSVG(width, height vg.Length) *svgCanvas {
	s := &svgCanvas{width: width, height: height, states: []svgState{{a: 1, d: 1}}}
	vg.Initialize(s)
	return s
}

// WriteTo writes the whole drawing.
func (s *svgCanvas) WriteTo(out io.Writer) (int64, error) {
	s.end()
	w, h := steps10(s.width), steps10(s.height)
	// Readers without the font get one with letters of the same width.
	n, err := fmt.Fprintf(out, `<svg xmlns="http://www.w3.org/2000/svg" width="%[1]s" height="%[2]s" viewBox="0 0 %[1]s %[2]s" font-family="Liberation Sans,Arial,Helvetica,sans-serif">%[3]s</svg>`,
		tenths(w), tenths(h), s.body.String())
	return int64(n), err
}

// Size is in points, as everything that gonum draws.
func (s *svgCanvas) Size() (x, y vg.Length) { return s.width, s.height }

func (s *svgCanvas) now() *svgState { return &s.states[len(s.states)-1] }

func (s *svgCanvas) Push() { s.states = append(s.states, *s.now()) }

func (s *svgCanvas) Pop()                                   { s.states = s.states[:len(s.states)-1] }
func (s *svgCanvas) SetLineWidth(w vg.Length)               { s.now().width = w }
func (s *svgCanvas) SetLineDash(d []vg.Length, o vg.Length) { s.now().dashes, s.now().offset = d, o }

func (s *svgCanvas) SetColor(c color.Color) {
	if c == nil {
		c = color.Black
	}
	s.now().color = c
}

func (s *svgCanvas) Rotate(angle float64) {
	n := s.now()
	sin, cos := math.Sincos(angle)
	n.a, n.b, n.c, n.d = n.a*cos+n.c*sin, n.b*cos+n.d*sin, n.c*cos-n.a*sin, n.d*cos-n.b*sin
}

func (s *svgCanvas) Translate(p vg.Point) {
	n := s.now()
	x, y := float64(p.X), float64(p.Y)
	n.e, n.f = n.e+n.a*x+n.c*y, n.f+n.b*x+n.d*y
}

func (s *svgCanvas) Scale(x, y float64) {
	n := s.now()
	n.a, n.b, n.c, n.d = n.a*x, n.b*x, n.c*y, n.d*y
}

// at is where a point is drawn, in steps from the left and from the top.
func (s *svgCanvas) at(p vg.Point) (x, y int) {
	n := s.now()
	px, py := float64(p.X), float64(p.Y)
	return steps10(vg.Length(n.a*px + n.c*py + n.e)), steps10(s.height - vg.Length(n.b*px+n.d*py+n.f))
}

// begin goes on with the element that is open, if it looks the same, or opens another.
func (s *svgCanvas) begin(element, look, closing string) {
	if s.look == element+look && s.run != "" {
		return
	}
	s.end()
	s.body.WriteString(element + look)
	s.look, s.run = element+look, closing
	s.x, s.y = 0, 0
}

func (s *svgCanvas) end() {
	s.body.WriteString(s.run)
	s.run, s.look = "", ""
}

func (s *svgCanvas) Stroke(p vg.Path) {
	n := s.now()
	if n.width <= 0 {
		return
	}
	look := paint("stroke", n.color) + fmt.Sprintf(` stroke-width="%s"`, tenths(steps10(n.width)))
	if len(n.dashes) > 0 {
		var all []string
		for _, d := range n.dashes {
			all = append(all, tenths(steps10(d)))
		}
		look += fmt.Sprintf(` stroke-dasharray="%s"`, strings.Join(all, ","))
	}
	if n.offset != 0 {
		look += fmt.Sprintf(` stroke-dashoffset="%s"`, tenths(steps10(n.offset)))
	}
	s.path(p, `fill="none" `+look)
}

func (s *svgCanvas) Fill(p vg.Path) { s.path(p, paint("fill", s.now().color)) }

// path draws a path, as a part of the one before it where that looks the same. What shines through is drawn by itself: two
// such areas are darker where they meet.
func (s *svgCanvas) path(p vg.Path, look string) {
	if strings.Contains(look, "rgba") {
		s.end()
	}
	s.begin("<path ", look+` d="`, `"/>`)
	var fromX, fromY int
	for i, step := range p {
		x, y := s.at(step.Pos)
		switch step.Type {
		case vg.MoveComp:
			fromX, fromY = x, y
			s.step("m", x, y)
		case vg.LineComp:
			if i+1 < len(p) && p[i+1].Type == vg.CloseComp && x == fromX && y == fromY {
				continue // closing leads there
			}
			s.line(x, y)
		case vg.ArcComp:
			s.arc(step)
		case vg.CurveComp:
			letter := map[int]string{1: "Q", 2: "C"}[len(step.Control)]
			s.body.WriteString(letter)
			for _, c := range append(append([]vg.Point{}, step.Control...), step.Pos) {
				cx, cy := s.at(c)
				s.body.WriteString(" " + pair(cx, cy))
			}
			s.x, s.y = x, y
		case vg.CloseComp:
			s.body.WriteString("z")
			s.x, s.y = fromX, fromY
		}
	}
}

// step leads to a place, said as the way from the last one.
func (s *svgCanvas) step(letter string, x, y int) {
	s.body.WriteString(letter + pair(x-s.x, y-s.y))
	s.x, s.y = x, y
}

func (s *svgCanvas) line(x, y int) {
	switch {
	case x == s.x && y == s.y:
	case y == s.y:
		s.body.WriteString("h" + tenths(x-s.x))
	case x == s.x:
		s.body.WriteString("v" + tenths(y-s.y))
	default:
		s.step("l", x, y)
		return
	}
	s.x, s.y = x, y
}

// arc draws a part of a circle in halves: SVG cannot lead from a place to itself.
func (s *svgCanvas) arc(step vg.PathComp) {
	place := func(angle float64) (int, int) {
		sin, cos := math.Sincos(angle)
		return s.at(vg.Point{X: step.Pos.X + step.Radius*vg.Length(cos), Y: step.Pos.Y + step.Radius*vg.Length(sin)})
	}
	s.line(place(step.Start))
	n := s.now()
	radius := tenths(steps10(step.Radius * vg.Length(math.Hypot(n.a, n.b))))
	sweep := 0
	if step.Angle < 0 { // the page counts angles the other way round
		sweep = 1
	}
	for _, part := range []float64{0.5, 1} {
		x, y := place(step.Start + part*step.Angle)
		s.step(fmt.Sprintf("a%s,%s 0 0 %d ", radius, radius, sweep), x, y)
	}
}

func (s *svgCanvas) FillString(f font.Face, p vg.Point, text string) {
	if f.Font.Size == 0 {
		return
	}
	look := paint("fill", s.now().color) + fmt.Sprintf(` font-size="%s"`, tenths(steps10(f.Font.Size)))
	if f.Font.Weight >= bold {
		look += ` font-weight="bold"`
	}
	s.begin("<g ", look+">", "</g>")
	x, y := s.at(p)
	n := s.now()
	where := fmt.Sprintf(`x="%s" y="%s"`, tenths(x), tenths(y))
	if angle := math.Atan2(n.b, n.a); math.Abs(angle) > 1e-6 {
		where = fmt.Sprintf(`transform="translate(%s)rotate(%.4g)"`, pair(x, y), -angle*180/math.Pi)
	}
	fmt.Fprintf(&s.body, `<text %s>%s</text>`, where, svgText(text))
}

// DrawImage is a part of what gonum calls a canvas; no figure of ours holds an image.
func (s *svgCanvas) DrawImage(vg.Rectangle, image.Image) { panic("images are not drawn") }

func paint(attribute string, c color.Color) string { return attribute + `="` + css(c) + `"` }

// svgText is a text as it stands in a drawing. What XML cannot hold, such as most control characters, becomes U+FFFD.
func svgText(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // a builder takes everything
	return b.String()
}

// steps10 counts tenths of a pixel.
func steps10(n vg.Length) int { return int(math.Round(float64(n) * 960 / float64(vg.Inch))) }

// tenths writes a number of steps as pixels; a nought before the point is left out.
func tenths(n int) string {
	text := strconv.FormatFloat(math.Abs(float64(n))/10, 'f', -1, 64)
	if text != "0" {
		text = strings.TrimPrefix(text, "0")
	}
	if n < 0 {
		return "-" + text
	}
	return text
}

// pair writes two numbers, which a minus can part.
func pair(x, y int) string {
	if y < 0 {
		return tenths(x) + tenths(y)
	}
	return tenths(x) + "," + tenths(y)
}
