package llm

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/kvpress/tensor"
	"github.com/kvnotes/kvnotes/kvpress/weights"
)

// sessionFormat is the version of the session file: a safetensors file that holds for every layer the lengths of
// its heads, the positions, keys and values of all pairs, what the press kept, and recorded hidden states.
const sessionFormat = "1"

// header is what a session file says of itself, beside its tensors.
type header struct {
	Model          string  `json:"model"`
	Fingerprint    string  `json:"fingerprint"`
	Press          string  `json:"press"`
	During         string  `json:"during,omitempty"` // spelling of the press that acts in answers
	Bits           int     `json:"bits,omitempty"`   // in which keys and values are stored
	Suffix         string  `json:"suffix"`
	Next           int     `json:"next"`
	Recorded       bool    `json:"recorded"`
	Planned        bool    `json:"planned"`
	PrefillSeconds float64 `json:"prefill_seconds"`
	PressSeconds   float64 `json:"press_seconds"`
}

// Save writes the session to a file, so that it can be loaded again without a prefill.
func (s *Session) Save(path string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	tensors, err := s.tensors()
	during := ""
	if s.during != nil {
		during = s.during.Name()
	}
	if err == nil {
		var text []byte
		text, err = json.Marshal(header{
			Model: s.model.Name, Fingerprint: s.model.fingerprint, Press: s.press, During: during, Bits: s.bits, Suffix: s.suffix, Next: s.next, Recorded: s.record != nil,
			Planned: s.plans != nil, PrefillSeconds: s.prefillSeconds, PressSeconds: s.pressSeconds,
		})
		if err == nil {
			err = weights.Write(path, tensors, map[string]string{"kvnotes.session": sessionFormat, "kvnotes.header": string(text)})
		}
	}
	if err != nil {
		return fmt.Errorf("saving the session to %s: %w", path, err)
	}
	return nil
}

func (s *Session) tensors() ([]weights.Tensor, error) {
	all := []weights.Tensor{ints("tokens", s.ids)}
	c := s.model.Config
	for layer := range c.Layers {
		at := "layer." + strconv.Itoa(layer) + "."
		var lens, positions, keptLens, kept []int
		var keys, values []float32
		for h := range c.KVHeads {
			k, v, err := s.cache.Pairs(layer, h)
			if err != nil {
				return nil, err
			}
			lens = append(lens, k.Rows)
			positions = append(positions, s.cache.Positions(layer, h)...)
			keys, values = append(keys, k.Data...), append(values, v.Data...)
			if s.plans != nil {
				keptLens = append(keptLens, len(s.plans[layer].Keep[h]))
				kept = append(kept, s.plans[layer].Keep[h]...)
			}
		}
		all = append(all, ints(at+"lens", lens), ints(at+"positions", positions),
			weights.Floats(at+"keys", keys, len(positions), c.Dim), weights.Floats(at+"values", values, len(positions), c.Dim))
		if s.plans != nil {
			all = append(all, ints(at+"kept_lens", keptLens), ints(at+"kept", kept))
			if m := s.plans[layer].Scores; m.Rows > 0 {
				all = append(all, weights.Floats(at+"scores", m.Data, m.Rows, m.Cols))
			}
		}
		all = append(all, memoTensors(at, s.memos[layer])...)
		if s.record != nil {
			row := make([]float32, len(s.ids)*c.Width)
			if err := s.model.decoder.backend.Read(row, s.record[layer]); err != nil {
				return nil, err
			}
			all = append(all, weights.Floats(at+"hidden", row, len(s.ids), c.Width))
		}
	}
	return all, nil
}

// memoTensors are the numbers that a memo keeps; readMemo reads them.
func memoTensors(at string, m *kvpress.Memo) []weights.Tensor {
	var all []weights.Tensor
	for _, name := range m.Pairs() {
		x := m.Get(name)
		all = append(all, weights.Floats(at+"pairs."+name, x.Data, x.Rows, x.Cols))
	}
	for _, skip := range m.Skips() {
		mean, cov := m.Moments(skip)
		var data []float32
		for _, c := range cov {
			data = append(data, c.Data...)
		}
		name := at + "moments." + strconv.Itoa(skip)
		all = append(all, weights.Floats(name+".mean", mean.Data, mean.Rows, mean.Cols), weights.Floats(name+".cov", data, mean.Rows*mean.Cols, mean.Cols))
	}
	return all
}

func (s *Session) readMemo(r *sessionReader, at string, m *kvpress.Memo) error {
	c := s.model.Config
	for _, name := range r.file.Names() {
		if pairs, ok := strings.CutPrefix(name, at+"pairs."); ok {
			x := r.floats(name, len(s.ids))
			if r.err == nil && x.Rows != c.Heads {
				return fmt.Errorf("tensor %s has %d rows for %d heads", name, x.Rows, c.Heads)
			}
			m.Set(pairs, x)
			continue
		}
		rest, ok := strings.CutPrefix(name, at+"moments.")
		if !ok || !strings.HasSuffix(rest, ".mean") {
			continue
		}
		rest = strings.TrimSuffix(rest, ".mean")
		skip, err := strconv.Atoi(rest)
		if err != nil {
			return fmt.Errorf("tensor %s: moments without how many tokens?", name)
		}
		mean, all := r.floats(name, c.Dim), r.floats(at+"moments."+rest+".cov", c.Dim)
		if r.err == nil && (mean.Rows != c.Heads || all.Rows != c.Heads*c.Dim) {
			return fmt.Errorf("tensor %s has %d rows for %d heads", name, mean.Rows, c.Heads)
		}
		var cov []tensor.Mat
		for h := range mean.Rows {
			cov = append(cov, all.Slice(h*c.Dim, (h+1)*c.Dim))
		}
		m.SetMoments(skip, mean, cov)
	}
	return r.err
}

func ints(name string, x []int) weights.Tensor {
	data := make([]byte, 4*len(x))
	for i, v := range x {
		binary.LittleEndian.PutUint32(data[4*i:], uint32(v))
	}
	return weights.Tensor{Name: name, DType: weights.I32, Shape: []int{len(x)}, Data: data}
}

// LoadSession reads a session that Save wrote. A file of another model is refused.
func (m *LLM) LoadSession(path string) (*Session, error) {
	s, err := m.loadSession(path)
	if err != nil {
		return nil, fmt.Errorf("session %s: %w", path, err)
	}
	return s, nil
}

func (m *LLM) loadSession(path string) (*Session, error) {
	f, err := weights.OpenFile(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	meta := f.Metadata()
	if meta["kvnotes.session"] != sessionFormat {
		return nil, fmt.Errorf("this is not a session file of format %s: prefill again and Save", sessionFormat)
	}
	var h header
	if err := json.Unmarshal([]byte(meta["kvnotes.header"]), &h); err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	if h.Fingerprint != m.fingerprint {
		return nil, fmt.Errorf("the file belongs to model %s, this is %s (or another version of it): load that model first", h.Model, m.Name)
	}
	r := &sessionReader{file: f}
	s, err := m.newSession(r.ints("tokens"))
	if r.err != nil {
		return nil, r.err
	}
	if err != nil {
		return nil, err
	}
	s.press, s.suffix, s.next, s.prefillSeconds, s.pressSeconds = h.Press, h.Suffix, h.Next, h.PrefillSeconds, h.PressSeconds
	for layer := range m.Config.Layers {
		if err := s.readLayer(r, layer, h); err != nil {
			return nil, fmt.Errorf("layer %d: %w", layer, err)
		}
	}
	s.bits = h.Bits
	if h.During == "" {
		return s, nil
	}
	p, err := kvpress.Parse(h.During)
	if err != nil {
		return nil, fmt.Errorf("its answers are compressed by a press that is not known here: Register it first: %w", err)
	}
	if _, s.during = apart(p); s.during == nil {
		return nil, fmt.Errorf("press %q does not act in answers", h.During)
	}
	return s, nil
}

// pack stores the pairs of a layer as tightly as they were: in few bits, and without channels of keys that are 0
// everywhere in a head, which are those that a press had dropped.
func (s *Session) pack(layer, bits int, keys tensor.Mat, lens []int) error {
	plan := kvpress.Plan{Bits: bits}
	from, short := 0, false
	for _, n := range lens {
		channels := usedChannels(keys.Slice(from, from+n))
		plan.Keep, plan.Channels = append(plan.Keep, upTo(0, n)), append(plan.Channels, channels)
		short = short || len(channels) < keys.Cols
		from += n
	}
	if !short {
		plan.Channels = nil
		if bits == 0 {
			return nil
		}
	}
	return s.cache.Apply(layer, plan, s.model.decoder.rope(len(s.ids)))
}

// usedChannels lists the columns with a number other than 0.
func usedChannels(x tensor.Mat) []int {
	used := []int{}
	for c := range x.Cols {
		for i := range x.Rows {
			if x.At(i, c) != 0 {
				used = append(used, c)
				break
			}
		}
	}
	return used
}

// readLayer fills one layer of the cache from a session file.
func (s *Session) readLayer(r *sessionReader, layer int, h header) error {
	c := s.model.Config
	at := "layer." + strconv.Itoa(layer) + "."
	positions, lens := r.ints(at+"positions"), r.ints(at+"lens")
	keys, values := r.floats(at+"keys", c.Dim), r.floats(at+"values", c.Dim)
	if r.err != nil {
		return r.err
	}
	if err := checkLens(lens, c.KVHeads, len(positions), keys.Rows, values.Rows); err != nil {
		return err
	}
	from := 0
	for head, n := range lens {
		to := from + n
		part := func(m tensor.Mat) tensor.Mat {
			return tensor.Mat{Rows: n, Cols: c.Dim, Data: m.Data[from*c.Dim : to*c.Dim]}
		}
		if err := s.cache.Append(layer, head, part(keys), part(values), positions[from:to]); err != nil {
			return err
		}
		from = to
	}
	if err := s.pack(layer, h.Bits, keys, lens); err != nil {
		return err
	}
	if h.Planned {
		plan := kvpress.Plan{}
		kept, keptLens := r.ints(at+"kept"), r.ints(at+"kept_lens")
		if r.err != nil {
			return r.err
		}
		if err := checkLens(keptLens, c.KVHeads, len(kept)); err != nil {
			return err
		}
		for _, n := range keptLens {
			plan.Keep = append(plan.Keep, kept[:n])
			kept = kept[n:]
		}
		if _, err := r.file.Tensor(at + "scores"); err == nil {
			plan.Scores = r.floats(at+"scores", 0)
		}
		s.plans = append(s.plans, plan)
	}
	if err := s.readMemo(r, at, s.memos[layer]); err != nil {
		return err
	}
	if h.Recorded {
		hidden := r.floats(at+"hidden", c.Width)
		if r.err == nil && hidden.Rows != len(s.ids) {
			return fmt.Errorf("%d rows of hidden states for %d tokens", hidden.Rows, len(s.ids))
		}
		if r.err != nil {
			return r.err
		}
		b, err := s.model.decoder.backend.Alloc(hidden.Rows, hidden.Cols)
		if err != nil {
			return err
		}
		if err := s.model.decoder.backend.Write(b, hidden.Data); err != nil {
			return err
		}
		s.record = append(s.record, b)
	}
	return r.err
}

// checkLens reports lengths of heads that do not add up to the rows there are.
func checkLens(lens []int, heads int, rows ...int) error {
	sum := 0
	for _, n := range lens {
		if n < 0 {
			return fmt.Errorf("a head has length %d", n)
		}
		sum += n
	}
	for _, n := range rows {
		if len(lens) != heads || n != sum {
			return fmt.Errorf("%d heads with %d pairs, the tensors have %d rows and the model %d heads: the file is damaged", len(lens), sum, n, heads)
		}
	}
	return nil
}

// A sessionReader reads tensors by name and remembers the first failure.
type sessionReader struct {
	file *weights.File
	err  error
}

func (r *sessionReader) tensor(name string, d weights.DType) weights.Tensor {
	t, err := r.file.Tensor(name)
	if err == nil && t.DType != d {
		err = fmt.Errorf("tensor %s is %v, not %v: the file is damaged", name, t.DType, d)
	}
	if err != nil && r.err == nil {
		r.err = err
	}
	return t
}

func (r *sessionReader) ints(name string) []int {
	t := r.tensor(name, weights.I32)
	if r.err != nil {
		return nil
	}
	x := make([]int, len(t.Data)/4)
	for i := range x {
		x[i] = int(int32(binary.LittleEndian.Uint32(t.Data[4*i:])))
	}
	return x
}

// floats reads a matrix; cols, if not 0, is how many columns it must have.
func (r *sessionReader) floats(name string, cols int) tensor.Mat {
	t := r.tensor(name, weights.F32)
	if r.err == nil && (len(t.Shape) != 2 || cols != 0 && t.Shape[1] != cols) {
		r.err = fmt.Errorf("tensor %s has shape %v, %d columns are wanted: the file is damaged", name, t.Shape, cols)
	}
	if r.err != nil {
		return tensor.Mat{}
	}
	m := tensor.Mat{Rows: t.Shape[0], Cols: t.Shape[1]}
	m.Data, r.err = t.Float32()
	return m
}
