package tokenizer

import (
	"fmt"
	"regexp"
	"strings"
)

// Chat templates are programs of strangers, written for Python's Jinja. Before a template is parsed its tags are
// rewritten: conditions inside brackets, which the Go parser does not know, become calls; generation blocks, which mark
// the model's words for training, become plain blocks; and every loop says beforehand how long it will be.
const (
	chooseName = "choose_one" // choose_one(condition, yes, no)
	countName  = "count_steps"
)

var (
	macroTag  = regexp.MustCompile(`(?s)\{%[-+]?\s*macro\s+(\w+)(.*?)\{%[-+]?\s*endmacro`)
	loopTag   = regexp.MustCompile(`(?s)^(\s*for\s.+?\sin\s)(.*)$`)
	fromEnd   = regexp.MustCompile(`^\s*-\s*[1-9][0-9]*\s*$`)
	blockTags = map[string]string{"generation": "if true", "endgeneration": "endif"}
)

// rewritten is a template that the Go parser reads.
func rewritten(template string) (string, error) {
	if err := refuseRecursion(template); err != nil {
		return "", err
	}
	var out strings.Builder
	for {
		start := strings.IndexByte(template, '{')
		if start < 0 || start+1 == len(template) {
			break
		}
		open := template[start : start+2]
		out.WriteString(template[:start])
		template = template[start:]
		switch open {
		case "{#":
			end := strings.Index(template, "#}")
			if end < 0 {
				end = len(template) - 2
			}
			out.WriteString(template[:end+2])
			template = template[end+2:]
		case "{{", "{%":
			end := tagEnd(template, map[string]string{"{{": "}}", "{%": "%}"}[open])
			out.WriteString(open + rewriteTag(template[2:end], open == "{%"))
			template = template[end:]
		default:
			out.WriteByte('{')
			template = template[1:]
		}
	}
	return out.String() + template, nil
}

// refuseRecursion refuses macros that call themselves or later ones: nothing would stop them.
func refuseRecursion(template string) error {
	macros := macroTag.FindAllStringSubmatch(template, -1)
	for i, m := range macros {
		for _, later := range macros[i:] {
			if regexp.MustCompile(`\b` + later[1] + `\s*\(`).MatchString(m[2]) {
				return fmt.Errorf("macro %s calls %s: macros that call themselves or later ones are not supported", m[1], later[1])
			}
		}
	}
	return nil
}

// tagEnd is where a tag's closing mark begins, outside of strings.
func tagEnd(text, mark string) int {
	for i := 2; i < len(text); i++ {
		if n := quoted(text[i:]); n > 0 {
			i += n - 1
		} else if strings.HasPrefix(text[i:], mark) {
			return i
		}
	}
	return len(text)
}

// quoted is the length of the string literal that a text begins with.
func quoted(text string) int {
	quote := text[0]
	if quote != '\'' && quote != '"' {
		return 0
	}
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case quote:
			return i + 1
		}
	}
	return len(text)
}

// rewriteTag rewrites what stands between the marks of a tag.
func rewriteTag(text string, statement bool) string {
	if statement {
		inner := strings.Trim(text, " \t\r\n+-")
		if plain, ok := blockTags[inner]; ok {
			return strings.Replace(text, inner, plain, 1)
		}
		dash := ""
		for _, mark := range []string{"-", "+"} {
			if rest, ok := strings.CutPrefix(text, mark); ok {
				dash, text = mark, rest
			}
		}
		if m := loopTag.FindStringSubmatch(text); m != nil {
			over, tail := m[2], ""
			if i := outside(over, " if "); i >= 0 {
				over, tail = over[:i], over[i:]
			} else if i := outside(over, " recursive"); i >= 0 {
				over, tail = over[:i], over[i:]
			}
			body := strings.TrimRight(over, " \t\r\n+-")
			return dash + m[1] + countName + "(" + rewriteBrackets(body) + ")" + over[len(body):] + rewriteBrackets(tail)
		}
		return dash + rewriteBrackets(text)
	}
	return rewriteBrackets(text)
}

// rewriteBrackets rewrites conditions inside all brackets of an expression.
func rewriteBrackets(text string) string {
	var out strings.Builder
	for i := 0; i < len(text); i++ {
		if n := quoted(text[i:]); n > 0 {
			out.WriteString(text[i : i+n])
			i += n - 1
			continue
		}
		out.WriteByte(text[i])
		if strings.IndexByte("([{", text[i]) < 0 {
			continue
		}
		end := closing(text[i:])
		inside := text[i+1 : min(len(text), i+end)]
		if text[i] == '[' && fromEnd.MatchString(inside) { // the Go parser counts only slices from the end
			out.WriteString(inside + ":][0")
			i += end - 1
			continue
		}
		for {
			comma := outside(inside, ",")
			if comma < 0 {
				break
			}
			out.WriteString(rewriteCondition(inside[:comma]) + ",")
			inside = inside[comma+1:]
		}
		out.WriteString(rewriteCondition(inside))
		i += end - 1
	}
	return out.String()
}

// rewriteCondition turns "yes if condition else no" into a call.
func rewriteCondition(text string) string {
	question := outside(text, " if ")
	if question < 0 {
		return rewriteBrackets(text)
	}
	rest := text[question+len(" if "):]
	answer := outside(rest, " else ")
	if answer < 0 {
		return rewriteBrackets(text)
	}
	yes, key := text[:question], ""
	if i := outside(yes, ":"); i >= 0 { // the value of a key
		key, yes = yes[:i+1], yes[i+1:]
	} else if i := outside(yes, "="); i >= 0 && !strings.Contains(yes, "==") { // a named argument
		key, yes = yes[:i+1], yes[i+1:]
	}
	return key + chooseName + "(" + rewriteBrackets(rest[:answer]) + ", " + rewriteBrackets(yes) + ", " + rewriteCondition(rest[answer+len(" else "):]) + ")"
}

// closing is the place of the bracket that closes the one a text begins with.
func closing(text string) int {
	depth := 0
	for i := 0; i < len(text); i++ {
		if n := quoted(text[i:]); n > 0 {
			i += n - 1
			continue
		}
		switch text[i] {
		case '(', '[', '{':
			depth++
		case ')', ']', '}':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return len(text)
}

// outside finds a text outside of strings and brackets; blanks in it match any blank. -1 if it is not there.
func outside(text, what string) int {
	flat := strings.NewReplacer("\n", " ", "\t", " ", "\r", " ").Replace(text)
	for i := 0; i < len(text); i++ {
		if n := quoted(text[i:]); n > 0 {
			i += n - 1
			continue
		}
		if strings.HasPrefix(flat[i:], what) {
			return i
		}
		if strings.IndexByte("([{", text[i]) >= 0 {
			i += closing(text[i:])
		}
	}
	return -1
}
