package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/kvnotes/kvnotes/kvpress/internal/jinja"
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
	for name, raw := range map[string]json.RawMessage{"bos_token": t.config.BOS, "eos_token": t.config.EOS, "unk_token": t.config.UNK, "pad_token": t.config.PAD} {
		if text, ok := tokenText(raw); ok {
			values[name] = text
		}
	}
	maps.Copy(values, vars)
	text, err := render(t.template, values)
	if err != nil {
		return "", fmt.Errorf("chat template: %w", err)
	}
	return text, nil
}

// render runs a template with the functions that transformers gives it.
func render(template string, values map[string]interface{}) (string, error) {
	parsed, err := jinja.Parse(template)
	if err != nil {
		return "", err
	}
	for _, name := range []string{"tools", "documents"} {
		if _, ok := values[name]; !ok {
			values[name] = nil
		}
	}
	return parsed.Render(values, map[string]func(string) (string, error){
		"raise_exception": func(message string) (string, error) { return "", errors.New(message) },
		"strftime_now":    func(format string) (string, error) { return strftime(now(), format) },
	})
}

// now is the clock of templates.
var now = time.Now

// layouts are the letters of Python's strftime, as Go writes the same.
var layouts = map[byte]string{
	'd': "02", 'b': "Jan", 'B': "January", 'Y': "2006", 'm': "01", 'H': "15", 'I': "03", 'M': "04", 'S': "05", 'p': "PM",
	'A': "Monday", 'a': "Mon", 'y': "06", 'j': "002", 'F': "2006-01-02", 'T': "15:04:05", 'e': "_2", 'D': "01/02/06", 'Z': "MST", 'z': "-0700",
}

// strftime writes a date as Python does.
func strftime(t time.Time, format string) (string, error) {
	var out strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			out.WriteByte(format[i])
			continue
		}
		i++
		short := format[i] == '-' && i+1 < len(format) // %-d has no leading zeros
		if short {
			i++
		}
		layout, ok := layouts[format[i]]
		switch {
		case format[i] == '%':
			out.WriteByte('%')
		case ok && short:
			text := t.Format(layout)
			for len(text) > 1 && (text[0] == '0' || text[0] == ' ') {
				text = text[1:]
			}
			out.WriteString(text)
		case ok:
			out.WriteString(t.Format(layout))
		default:
			return "", fmt.Errorf("strftime_now: %%%c is not supported", format[i])
		}
	}
	return out.String(), nil
}
