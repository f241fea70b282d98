package trained

import (
	"archive/zip"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
)

// A pickle is Python's format for structures: a program for a small stack machine. This one knows the instructions that
// torch.save writes. Dictionaries become map[string]any, lists *[]any, tuples []any, classes global.
type pickle struct {
	files  map[string]*zip.File
	folder string
	left   int64 // bytes that may still be read and made

	data  []byte
	at    int
	stack []any
	marks []int
	memo  map[int]any
}

// global names a class or function of Python.
type global string

// known are the classes of files with nothing but tensors in them. Those of numbers, which stand beside, are left aside.
var known = regexp.MustCompile(`^(collections\.OrderedDict|torch\._utils\._rebuild_(tensor_v2|parameter)|torch\.\w+Storage|torch\.storage\.\w+|numpy\.(_?core\.multiarray\.scalar|dtype)|_codecs\.encode)$`)

var errCut = errors.New("the pickle is cut off or broken")

// run reads the whole pickle.
func (p *pickle) run() (v any, err error) {
	defer func() {
		if r := recover(); r != nil { // an index behind the end of a broken file
			v, err = nil, errCut
		}
	}()
	p.memo, p.data = map[int]any{}, slices.Clip(p.data)
	for {
		op := p.take(1)[0]
		if op == '.' {
			return p.pop(), nil
		}
		if err := p.step(op); err != nil {
			return nil, err
		}
	}
}

func (p *pickle) step(op byte) error {
	switch op {
	case 0x80: // protocol
		p.take(1)
	case '(':
		p.marks = append(p.marks, len(p.stack))
	case '}':
		p.push(map[string]any{})
	case ']':
		p.push(&[]any{})
	case ')':
		p.push([]any{})
	case 't':
		p.push(p.popMark())
	case 0x85, 0x86, 0x87: // tuples of one, two and three
		n := len(p.stack) - int(op-0x84)
		t := append([]any{}, p.stack[n:]...)
		p.stack = append(p.stack[:n], t)
	case 'N':
		p.push(nil)
	case 0x88, 0x89:
		p.push(op == 0x88)
	case 'K':
		p.push(int(p.take(1)[0]))
	case 'M':
		p.push(int(binary.LittleEndian.Uint16(p.take(2))))
	case 'J':
		p.push(int(int32(binary.LittleEndian.Uint32(p.take(4)))))
	case 0x8a: // a long number
		p.push(long(p.take(int(p.take(1)[0]))))
	case 'G':
		p.push(math.Float64frombits(binary.BigEndian.Uint64(p.take(8))))
	case 'X', 'T', 'B':
		p.push(string(p.take(int(binary.LittleEndian.Uint32(p.take(4))))))
	case 0x8c, 'U', 'C':
		p.push(string(p.take(int(p.take(1)[0]))))
	case 'c':
		class := p.line() + "." + p.line()
		if !known.MatchString(class) {
			return fmt.Errorf("the pickle wants to run %.100s, and it may run nothing: only files of plain tensors are read, which torch.save writes of a state dict", class)
		}
		p.push(global(class))
	case 'q':
		p.memo[int(p.take(1)[0])] = p.stack[len(p.stack)-1]
	case 'r':
		p.memo[int(binary.LittleEndian.Uint32(p.take(4)))] = p.stack[len(p.stack)-1]
	case 'h':
		p.push(p.memo[int(p.take(1)[0])])
	case 'j':
		p.push(p.memo[int(binary.LittleEndian.Uint32(p.take(4)))])
	case 'a':
		p.extend([]any{p.pop()})
	case 'e':
		p.extend(p.popMark())
	case 's':
		v, k := p.pop(), p.pop()
		p.set([]any{k, v})
	case 'u':
		p.set(p.popMark())
	case 'b': // the state of an object: nothing here has one of use
		p.pop()
	case 'Q':
		v, err := persistent(p.pop())
		p.push(v)
		return err
	case 'R':
		args, _ := p.pop().([]any)
		class, _ := p.pop().(global)
		v, err := p.build(string(class), args)
		p.push(v)
		return err
	default:
		return fmt.Errorf("instruction %#x of the pickle is not known: save the file with torch.save", op)
	}
	return nil
}

func (p *pickle) take(n int) []byte {
	p.at += n
	return p.data[p.at-n : p.at]
}

// line reads up to the next line end.
func (p *pickle) line() string {
	start := p.at
	for p.data[p.at] != '\n' {
		p.at++
	}
	p.at++
	return string(p.data[start : p.at-1])
}

func (p *pickle) push(v any) { p.stack = append(p.stack, v) }

func (p *pickle) pop() any {
	v := p.stack[len(p.stack)-1]
	p.stack = p.stack[:len(p.stack)-1]
	return v
}

// popMark takes what was pushed since the last mark.
func (p *pickle) popMark() []any {
	mark := p.marks[len(p.marks)-1]
	p.marks = p.marks[:len(p.marks)-1]
	v := append([]any{}, p.stack[mark:]...)
	p.stack = p.stack[:mark]
	return v
}

// extend appends to the list on top of the stack.
func (p *pickle) extend(v []any) {
	if list, ok := p.stack[len(p.stack)-1].(*[]any); ok {
		*list = append(*list, v...)
	}
}

// set fills the dictionary on top of the stack with keys and values in turn; only names are of use as keys.
func (p *pickle) set(v []any) {
	dict, ok := p.stack[len(p.stack)-1].(map[string]any)
	for i := 0; ok && i+1 < len(v); i += 2 {
		if k, isName := v[i].(string); isName {
			dict[k] = v[i+1]
		}
	}
}

// long is a little endian number with a sign, of up to eight bytes.
func long(b []byte) int {
	var buffer [8]byte
	copy(buffer[:], b)
	n := int64(binary.LittleEndian.Uint64(buffer[:]))
	if len(b) > 0 && len(b) < 8 && b[len(b)-1]&0x80 != 0 {
		n -= 1 << (8 * len(b))
	}
	return int(n)
}
