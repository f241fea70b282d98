package llm

// recent holds what entered the attention blocks for the newest tokens, so that a press can ask for their queries.
type recent struct {
	backend Backend
	width   int
	layers  []Buf // per layer (capacity, width)
	from    int   // first row that counts
	at      []int // position of each row's token, from that row on
}

// room returns rows for n more tokens in every layer, behind those there are.
func (r *recent) room(n int) ([]Buf, error) {
	end := r.from + len(r.at)
	if end+n > r.layers[0].Rows {
		if err := r.move(2 * (len(r.at) + n)); err != nil {
			return nil, err
		}
		end = len(r.at)
	}
	return r.rows(end, end+n), nil
}

// rows are some rows of every layer.
func (r *recent) rows(from, to int) []Buf {
	rows := make([]Buf, len(r.layers))
	for i, b := range r.layers {
		rows[i] = b.Slice(from, to)
	}
	return rows
}

// trim forgets all but the newest n tokens.
func (r *recent) trim(n int) {
	gone := max(0, len(r.at)-n)
	r.from, r.at = r.from+gone, r.at[gone:]
}

// move puts the rows that count to the front, of larger room if need be.
func (r *recent) move(capacity int) error {
	n := len(r.at)
	for i, old := range r.layers {
		if capacity > old.Rows {
			var err error
			if r.layers[i], err = r.backend.Alloc(capacity, r.width); err != nil {
				return err
			}
		}
		if n == 0 {
			continue
		}
		if err := copyRows(r.backend, r.layers[i].Slice(0, n), old.Slice(r.from, r.from+n)); err != nil {
			return err
		}
	}
	r.from = 0
	return nil
}

// copyRows copies a matrix, by way of the host.
func copyRows(b Backend, dst, src Buf) error {
	row := make([]float32, src.Rows*src.Cols)
	if err := b.Read(row, src); err != nil {
		return err
	}
	return b.Write(dst, row)
}
