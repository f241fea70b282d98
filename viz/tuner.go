package viz

import (
	"context"
	"errors"
	"fmt"
	"html"
	"strconv"
	"strings"
	"time"

	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/kvpress/llm"
	"github.com/kvnotes/kvnotes/viz/widget"
)

// Tuning is a page to try presses with: a menu of all methods, their parameters, the ratio, and below them what the
// press keeps of the text, by token and by head. A question is answered by the pressed and by the whole cache side by
// side. It is shown as the value of a cell.
type Tuning struct {
	session *llm.Session
	planner planner
	texts   []string
	pair    int   // bytes of a key-value pair
	failure error // why there is no page

	press, rule, inner *widget.Choice
	spelling           *widget.Text
	ratio              *widget.FloatSlider
	knobs, innerKnobs  []*knob
	rows               map[string][]*knob // of each method, made once
	parameters         *widget.Box
	layer, head        *widget.Choice
	question           *widget.Text
	numbers, strip     *widget.Text
	heads              *widget.Image
	answers            *widget.Text
	box                *widget.Box

	typed    string // a spelling that was typed; "" when the menus decide
	changes  int    // of the catalogue, when the menus were filled
	tokens   Tokens // what is shown
	whole    map[string]llm.Answer
	answered func()
}

// How a scorer becomes a press.
var rules = []string{"every head keeps as many", "heads of a layer share (adakv)", "all layers share (global)"}

// Tuner makes the page for a whole session, which should have recorded what presses may ask for (llm.Full).
func Tuner(s *llm.Session) *Tuning {
	t := &Tuning{session: s, planner: planner{session: s}, texts: s.TokenTexts(), rows: map[string][]*knob{}, whole: map[string]llm.Answer{}}
	if t.failure = t.readable(); t.failure != nil {
		return t
	}
	t.press, t.rule, t.inner = widget.NewDropdown("press", nil), widget.NewDropdown("budget", rules), widget.NewDropdown("inside", nil)
	t.spelling, t.ratio = widget.NewText("spelled", ""), widget.NewFloatSlider("removed", 0.5, 0, 0.99, 0.01)
	t.parameters = widget.NewVBox()
	lens := s.Lens()
	t.layer, t.head = widget.NewDropdown("layer", append([]string{"all"}, names(len(lens))...)), widget.NewDropdown("head", append([]string{"all"}, names(len(lens[0]))...))
	t.question = widget.NewText("question", "")
	t.numbers, t.strip, t.answers = widget.NewHTML(""), widget.NewHTML(""), widget.NewHTML("")
	t.heads = widget.NewImage("svg+xml", nil)
	ask := widget.NewButton("Ask")
	t.box = widget.NewVBox(
		widget.NewHBox(t.press, t.rule, t.inner), t.spelling, t.ratio, t.parameters, widget.NewHBox(t.layer, t.head),
		t.numbers, t.strip, t.heads, widget.NewHBox(t.question, ask), t.answers,
	)
	for _, wide := range []*widget.Text{t.spelling, t.question} {
		t.failure = errors.Join(t.failure, wide.Width("600px"))
	}
	t.failure = errors.Join(t.failure, t.ratio.Width("600px"), t.strip.Scroll("420px"), t.fill(), t.press.SetValue("expected_attention"), t.inner.SetValue("expected_attention"))
	t.choose()
	for _, c := range []control{t.press, t.inner} {
		c.OnChange(func() { t.typed = ""; t.choose() })
	}
	t.rule.OnChange(func() { t.typed = ""; t.draw() })
	t.spelling.OnChange(func() { t.typed = strings.TrimSpace(t.spelling.Value()); t.draw() })
	t.ratio.OnChange(t.moved)
	t.layer.OnChange(t.draw)
	t.head.OnChange(t.draw)
	ask.OnClick(t.ask)
	return t
}

// readable reports a session that has lost pairs already, and reads what all pictures need.
func (t *Tuning) readable() error {
	for _, lens := range t.session.Lens() {
		for _, n := range lens {
			if n != t.session.Len() {
				return fmt.Errorf("the tuner presses a whole session, and %s has pressed this one: give it what Prefill returned", t.session.PressName())
			}
		}
	}
	l, err := t.session.Layer(0)
	if err == nil {
		t.pair = l.PairBytes
	}
	return err
}

// fill puts the catalogue into the menus, which a cell may have added to.
func (t *Tuning) fill() error {
	t.changes = kvpress.Changes()
	t.rows = map[string][]*knob{}
	var all, scorers []string
	for _, m := range kvpress.Methods() {
		all = append(all, m.Name)
		if m.Scorer != nil && m.Inner() == "" {
			scorers = append(scorers, m.Name)
		}
	}
	return errors.Join(t.press.SetOptions(all), t.inner.SetOptions(scorers))
}

// choose shows the controls of the chosen press, and its picture.
func (t *Tuning) choose() {
	m, err := kvpress.MethodNamed(t.press.Value())
	if err != nil {
		t.fail(err)
		return
	}
	t.knobs, t.innerKnobs = t.controls(m), nil
	if m.Inner() != "" {
		if in, err := kvpress.MethodNamed(t.inner.Value()); err == nil {
			t.innerKnobs = t.controls(in)
		}
	}
	var rows []widget.Widget
	for _, k := range t.knobs {
		rows = append(rows, k.row())
	}
	for _, k := range t.innerKnobs {
		rows = append(rows, k.row())
	}
	if err := errors.Join(t.rule.Set("disabled", m.Scorer == nil), t.inner.Set("disabled", m.Inner() == ""), t.parameters.SetChildren(rows...)); err != nil {
		t.fail(err)
		return
	}
	t.draw()
}

// controls are the knobs of a method, made once.
func (t *Tuning) controls(m kvpress.Method) []*knob {
	if made, ok := t.rows[m.Name]; ok {
		return made
	}
	made := knobsOf(m)
	for _, k := range made {
		k.control.OnChange(func() { t.typed = ""; t.draw() })
	}
	t.rows[m.Name] = made
	return made
}

// moved is called when the ratio changes; a spelling that was typed gets it too.
func (t *Tuning) moved() {
	if at := strings.LastIndexByte(t.typed, ':'); at >= 0 {
		t.typed = t.typed[:at+1] + t.removed()
	}
	t.draw()
}

func (t *Tuning) removed() string { return strconv.FormatFloat(round(t.ratio.Value()), 'f', -1, 64) }

// Press is the spelling of the press that is shown.
func (t *Tuning) Press() string {
	if t.typed != "" {
		return t.typed
	}
	m, err := kvpress.MethodNamed(t.press.Value())
	if err != nil {
		return t.press.Value()
	}
	args := spelled(t.knobs)
	if m.Inner() != "" {
		in := called(t.inner.Value(), spelled(t.innerKnobs))
		args = append([]string{in}, args...)
		if m.Inner() == "presses" {
			args = append([]string{in}, args...)
		}
	}
	text := called(m.Name, args)
	if m.Scorer != nil {
		switch t.rule.Value() {
		case rules[1]:
			text = "adakv(" + text + ")"
		case rules[2]:
			text = "global(" + text + ")"
		}
	}
	if m.TakesBudget() {
		text += ":" + t.removed()
	}
	return text
}

func called(name string, args []string) string {
	if len(args) == 0 {
		return name
	}
	return name + "(" + strings.Join(args, ", ") + ")"
}

// draw plans the press and shows what it keeps.
func (t *Tuning) draw() {
	if err := t.redraw(); err != nil {
		t.fail(err)
	}
}

func (t *Tuning) redraw() error {
	if t.changes != kvpress.Changes() {
		if err := t.fill(); err != nil {
			return err
		}
	}
	start := time.Now()
	press, err := kvpress.Parse(t.Press())
	if err != nil {
		return err
	}
	if b, err := kvpress.BudgetOf(press); err == nil && t.typed != "" && b.PerHead == 0 && b.Total == 0 {
		if err := t.ratio.SetValue(b.Removed); err != nil {
			return err
		}
	}
	plans, err := t.planner.plan(press)
	if err != nil {
		return err
	}
	planned := time.Since(start)
	t.tokens = Tokens{Press: press.Name(), Texts: t.texts}
	kept := Kept{Press: press.Name(), Full: len(t.texts)}
	bytes, packed := int64(0), false
	for _, p := range plans {
		lens := make([]int, len(p.Keep))
		for h, keep := range p.Keep {
			lens[h] = len(keep)
			bytes += int64(len(keep) * t.pair)
		}
		packed = packed || p.Channels != nil || p.Bits != 0
		t.tokens.Keep, kept.Lens = append(t.tokens.Keep, p.Keep), append(kept.Lens, lens)
	}
	if packed { // only a real cache knows what its pairs take then
		s, err := t.session.Press(press)
		if err != nil {
			return err
		}
		bytes = s.Bytes().Live
		s.Close()
	}
	layer, head := t.layer.Index()-1, t.head.Index()-1
	c, err := t.tokens.count(layer, head)
	if err != nil {
		return err
	}
	title, _ := c.finding()
	sum, heads, _ := kept.sums()
	whole := float64(len(t.texts)*heads*t.pair) / (1 << 20)
	numbers := fmt.Sprintf("<b>%d</b> of %d pairs stay (%.1f %%): <b>%.2f</b> of %.2f MiB. Planned in %.0f ms.",
		sum, heads*len(t.texts), percent(sum, heads*len(t.texts)), float64(bytes)/(1<<20), whole, 1000*planned.Seconds())
	return errors.Join(
		t.spelling.SetValue(press.Name()), t.numbers.SetValue(numbers), t.strip.SetValue(c.page(title, c.runs(), "")), t.heads.SetValue([]byte(RetainedOf(kept).SVG())),
	)
}

// fail says what is wrong where the numbers stand.
func (t *Tuning) fail(err error) {
	if failed := t.numbers.SetValue(fmt.Sprintf(`<span style="color:%s">%s</span>`, css(hues[4]), html.EscapeString(err.Error()))); failed != nil {
		t.failure = failed
	}
}

// longestAnswer in tokens.
const longestAnswer = 40

// ask answers the question with the press and without.
func (t *Tuning) ask() {
	if err := t.Ask(context.Background(), t.question.Value()); err != nil {
		t.fail(err)
	}
}

// Ask answers a question with the whole cache and with what the shown press leaves, as the button does.
func (t *Tuning) Ask(ctx context.Context, question string) error {
	if t.failure != nil {
		return t.failure
	}
	question = strings.TrimSpace(question)
	if question == "" {
		return errors.New("ask something: type a question first")
	}
	if !strings.HasSuffix(strings.Join(t.texts[max(0, len(t.texts)-1):], ""), "\n") {
		question = "\n" + question // as a line of its own
	}
	whole, known := t.whole[question]
	if !known {
		var err error
		if whole, err = t.session.Ask(ctx, question, longestAnswer); err != nil {
			return err
		}
		t.whole[question] = whole
	}
	press, err := kvpress.Parse(t.Press())
	if err != nil {
		return err
	}
	pressed, err := t.session.PressContext(ctx, press)
	if err != nil {
		return err
	}
	defer pressed.Close()
	answer, err := pressed.Ask(ctx, question, longestAnswer)
	if err != nil {
		return err
	}
	row := func(who string, a llm.Answer, other string, bytes int64) string {
		return fmt.Sprintf(`<tr><td>%s</td><td style="text-align:left">%s</td><td>%.2f MiB</td><td>%.1f ms a token</td></tr>`, html.EscapeString(who), marked(a.Text, other), float64(bytes)/(1<<20), a.TokenMillis)
	}
	text := "<table>" + row("whole cache", whole, answer.Text, t.session.Bytes().Live) + row(press.Name(), answer, whole.Text, pressed.Bytes().Live) + "</table>"
	if strings.TrimSpace(whole.Text) == strings.TrimSpace(answer.Text) {
		text += "<div>The answers are the same.</div>"
	}
	err = errors.Join(t.question.SetValue(strings.TrimSpace(question)), t.answers.SetValue(text))
	if err == nil && t.answered != nil {
		t.answered()
	}
	return err
}

// Set chooses a press by its spelling, as typing it does.
func (t *Tuning) Set(spelling string) error {
	if t.failure != nil {
		return t.failure
	}
	before := t.typed
	if t.typed = spelling; t.typed != "" {
		if _, err := kvpress.Parse(spelling); err != nil {
			t.typed = before
			return err
		}
	}
	return t.redraw()
}

// OnAnswer calls f after each question that was asked on the page.
func (t *Tuning) OnAnswer(f func()) { t.answered = f }

// Picture is what the page shows now, as a chart that stays in a saved notebook.
func (t *Tuning) Picture() *Chart {
	if t.failure != nil {
		return failed("tuner", t.failure)
	}
	return TokenStripOf(t.tokens, t.layer.Index()-1, t.head.Index()-1)
}

// SimpleRender is the page, and its picture for where pages do not live.
func (t *Tuning) SimpleRender() map[string]interface{} {
	picture := t.Picture()
	if t.failure != nil {
		return picture.SimpleRender()
	}
	bundle := t.box.SimpleRender()
	bundle["text/plain"] = picture.Text()
	bundle["image/svg+xml"] = picture.SVG()
	return bundle
}
