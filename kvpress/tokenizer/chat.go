package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/nikolalohinski/gonja/v2"
	gconfig "github.com/nikolalohinski/gonja/v2/config"
	"github.com/nikolalohinski/gonja/v2/exec"
	"github.com/nikolalohinski/gonja/v2/loaders"
)

// A Message is one turn of a chat.
type Message struct {
	Role    string // "system", "user", "assistant"
	Content string
}

// HasChatTemplate tells whether the model says how chats are written.
func (t *Tokenizer) HasChatTemplate() bool { return t.template != "" }

// readTemplate reads a template: a text, or a list of named ones, of which "default" counts.
func readTemplate(raw json.RawMessage) (string, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return "", nil
	}
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text, nil
	}
	var named []struct{ Name, Template string }
	if err := json.Unmarshal(raw, &named); err != nil {
		return "", fmt.Errorf("chat_template: %w", err)
	}
	for _, n := range named {
		if n.Name == "default" {
			return n.Template, nil
		}
	}
	return "", errors.New("chat_template: none of the templates is called default")
}

// Limits of a template, which is data from strangers: it cannot run for ever or fill the memory.
const (
	longestChat = 64 << 20
	longestTime = 10 * time.Second
	mostSteps   = 1 << 20 // of all loops together
)

// boundedRange is Python's range, as a list that fits into memory.
func boundedRange(of ...int) ([]int, error) {
	if len(of) < 1 || len(of) > 3 {
		return nil, fmt.Errorf("range of %d numbers", len(of))
	}
	from, to, step := 0, of[0], 1
	if len(of) > 1 {
		from, to = of[0], of[1]
	}
	if len(of) > 2 {
		step = of[2]
	}
	var list []int
	for i := from; step > 0 && i < to || step < 0 && i > to; i += step {
		if list = append(list, i); len(list) > mostSteps {
			return nil, fmt.Errorf("range is longer than %d", mostSteps)
		}
	}
	return list, nil
}

// Chat writes a chat as the model wants to read it. With addGenerationPrompt it ends where the model's answer
// begins. Vars are further variables of the template, such as enable_thinking.
func (t *Tokenizer) Chat(messages []Message, addGenerationPrompt bool, vars map[string]interface{}) (string, error) {
	if t.template == "" {
		return "", errors.New("the model has no chat template")
	}
	turns := make([]map[string]interface{}, len(messages))
	for i, m := range messages {
		turns[i] = map[string]interface{}{"role": m.Role, "content": m.Content}
	}
	values := map[string]interface{}{"messages": turns, "add_generation_prompt": addGenerationPrompt}
	for name, raw := range map[string]json.RawMessage{"bos_token": t.config.BOS, "eos_token": t.config.EOS} {
		if text, _, ok := t.named(raw); ok {
			values[name] = text
		}
	}
	for k, v := range vars {
		values[k] = v
	}
	text, err := render(t.template, values)
	if err != nil {
		return "", fmt.Errorf("chat template: %w", err)
	}
	return text, nil
}

// noFiles gives templates no other files to read.
type noFiles struct{ loaders.Loader }

func (noFiles) Read(path string) (io.Reader, error) {
	return nil, fmt.Errorf("%q: a chat template reads no files", path)
}

func (noFiles) Resolve(path string) (string, error) {
	return "", fmt.Errorf("%q: a chat template reads no files", path)
}
func (n noFiles) Inherit(string) (loaders.Loader, error) { return n, nil }

// A bounded writer takes so much and no more, and nothing after its time.
type bounded struct {
	text strings.Builder
	end  time.Time
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.text.Len()+len(p) > longestChat {
		return 0, fmt.Errorf("stopped after %d bytes", b.text.Len())
	}
	if time.Now().After(b.end) {
		return 0, fmt.Errorf("stopped after %v", longestTime)
	}
	return b.text.Write(p)
}

// render runs a template with the settings of transformers: blocks leave no blank lines.
func render(template string, values map[string]interface{}) (text string, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
	}()
	if template, err = rewritten(template); err != nil {
		return "", err
	}
	settings := gconfig.New()
	settings.TrimBlocks, settings.LeftStripBlocks = true, true
	root, err := loaders.NewShiftedLoader("/chat", strings.NewReader(template), noFiles{})
	if err != nil {
		return "", err
	}
	parsed, err := exec.NewTemplate("/chat", settings, root, gonja.DefaultEnvironment)
	if err != nil {
		return "", err
	}
	values["raise_exception"] = func(message string) (string, error) { return "", errors.New(message) }
	values["strftime_now"] = func(format string) string { return strftime(now(), format) }
	values[chooseName] = func(condition *exec.Value, yes, no interface{}) interface{} {
		if condition.IsTrue() {
			return yes
		}
		return no
	}
	steps := 0
	values[countName] = func(list *exec.Value) (*exec.Value, error) {
		if steps += list.Len(); steps > mostSteps {
			return nil, fmt.Errorf("stopped after %d steps of loops", mostSteps)
		}
		return list, nil
	}
	values["range"] = boundedRange
	out := &bounded{end: time.Now().Add(longestTime)}
	if err := parsed.Execute(out, exec.NewContext(values)); err != nil {
		return "", err
	}
	return out.text.String(), nil
}

// now is the clock of templates.
var now = time.Now

// strftime writes a date by the letters that chat templates use.
func strftime(t time.Time, format string) string {
	for code, layout := range map[string]string{"%d": "02", "%b": "Jan", "%B": "January", "%Y": "2006", "%m": "01", "%H": "15", "%M": "04", "%S": "05", "%A": "Monday", "%y": "06"} {
		format = strings.ReplaceAll(format, code, t.Format(layout))
	}
	return format
}
