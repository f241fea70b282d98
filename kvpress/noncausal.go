package kvpress

import "github.com/kvnotes/kvnotes/kvpress/tensor"

// NonCausal keeps what the queries of the same chunk look at, future ones included: attention without the causal
// mask inside each chunk, weighted by the norm of the value. Chari et al., arXiv 2507.08143. Only right after a
// prefill.
type NonCausal struct {
	Chunk  int  // tokens of a chunk; 0 means 256
	Compat bool // as the Python original: logits are not scaled, and the last chunk is filled up with zeros that count
}

func init() { Register(Method{Name: "noncausal", Paper: "arXiv 2507.08143", Scorer: NonCausal{}}) }

// Name spells the scorer, such as "noncausal(chunk=64)".
func (s NonCausal) Name() string { return Spell("noncausal", s) }

// Score is the smoothed attention times value norm of each pair in units of the layer's deviation, (KVHeads, Len).
func (s NonCausal) Score(l *Layer) (Scores, error) {
	chunk, err := whole("chunk", s.Chunk, 256)
	if err != nil {
		return Scores{}, err
	}
	if l.Ragged() || l.Tokens != l.Len {
		return Scores{}, errOnlyPrefill
	}
	attention := tensor.New(l.Heads, l.Len)
	err = eachHead(l.Heads, func(head int) error {
		q, err := l.QueriesAfterRope(head, l.Tokens)
		if err != nil {
			return err
		}
		keys, err := l.Keys(head / l.Group())
		if err != nil {
			return err
		}
		if !s.Compat {
			tensor.Scale(q.Data, l.Scaling())
		}
		for from := 0; from < l.Len; from += chunk {
			to := min(from+chunk, l.Len)
			s.attend(attention.Row(head)[from:to], q.Slice(from, to), keys.Slice(from, to), chunk)
		}
		return nil
	})
	if err != nil {
		return Scores{}, err
	}
	norms, err := l.ValueNorms()
	if err != nil {
		return Scores{}, err
	}
	values := l.GroupMean(attention)
	for h := range l.KVHeads {
		row := values.Row(h)
		for i, n := range norms.Row(h) {
			row[i] *= n
		}
		copy(row, AveragePool(row, 3))
	}
	standardize(l, values)
	return Scores{Values: values}, nil
}

// attend adds up the attention that each key of a chunk gets from all queries of the chunk.
func (s NonCausal) attend(sum []float32, q, keys tensor.Mat, chunk int) {
	missing := 0
	if s.Compat {
		missing = chunk - q.Rows // rows and columns of zeros
	}
	logits := tensor.New(rowBlock, keys.Rows)
	row := make([]float32, keys.Rows+missing)
	for from := 0; from < q.Rows; from += rowBlock {
		n := min(rowBlock, q.Rows-from)
		tensor.MulT(logits.Slice(0, n), q.Slice(from, from+n), keys)
		for i := range n {
			clear(row)
			copy(row, logits.Row(i))
			tensor.Softmax(row)
			tensor.Add(sum, row[:keys.Rows])
		}
	}
	for i := range sum {
		sum[i] += float32(missing) / float32(chunk)
	}
}
