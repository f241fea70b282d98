package llm

import (
	"context"
	"fmt"

	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/kvpress/progress"
	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// QueryStatistics reads texts and measures mean and covariance of the queries before RoPE, over all tokens of all texts
// but the first skip of each, for the method expected_attention_stats. trained.SaveExpectedAttentionStats writes them.
func (m *LLM) QueryStatistics(ctx context.Context, texts []string, skip int) (kvpress.ExpectedAttentionStats, error) {
	c := m.Config
	total := make([][]pooled, c.Layers)
	for i := range total {
		total[i] = make([]pooled, c.Heads)
	}
	err := m.eachText(ctx, texts, func(s *Session, layer int, l *kvpress.Layer) error {
		if s.Len() <= skip {
			return nil // nothing is left of it
		}
		mean, cov, err := l.QueryMoments(skip)
		if err != nil {
			return err
		}
		for head := range total[layer] {
			total[layer][head].add(s.Len()-skip, mean.Row(head), cov[head].Data)
		}
		return nil
	})
	if err != nil {
		return kvpress.ExpectedAttentionStats{}, err
	}
	if total[0][0].n < 2 {
		return kvpress.ExpectedAttentionStats{}, fmt.Errorf("the texts have %d tokens behind the first %d of each: give more text", total[0][0].n, skip)
	}
	stats := kvpress.ExpectedAttentionStats{Sinks: skip}
	for _, heads := range total {
		mean, cov := tensor.New(c.Heads, c.Dim), make([]tensor.Mat, c.Heads)
		for head := range heads {
			cov[head] = tensor.New(c.Dim, c.Dim)
			heads[head].result(mean.Row(head), cov[head].Data)
		}
		stats.Mean, stats.Cov = append(stats.Mean, mean), append(stats.Cov, cov)
	}
	return stats, nil
}

// eachText prefills every text by itself and shows all layers.
func (m *LLM) eachText(ctx context.Context, texts []string, show func(s *Session, layer int, l *kvpress.Layer) error) error {
	if len(texts) == 0 {
		return fmt.Errorf("there are no texts to measure: give some")
	}
	for i, text := range texts {
		s, err := m.PrefillTokens(ctx, m.Tokenizer.Encode(text), Full())
		for layer := 0; err == nil && layer < m.Config.Layers; layer++ {
			var l *kvpress.Layer
			if l, err = s.layer(layer); err == nil {
				err = show(s, layer, l)
			}
		}
		if err != nil {
			return fmt.Errorf("text %d: %w", i, err)
		}
		if err := s.Close(); err != nil {
			return err
		}
		progress.Report(ctx, "texts", int64(i+1), int64(len(texts)))
	}
	return nil
}

// pooled are mean and scatter of vectors that come in groups.
type pooled struct {
	n             int
	mean, scatter []float64 // scatter (Dim, Dim): sum of the products of deviations
}

// add pools in a group of n vectors of the given mean and biased covariance.
func (p *pooled) add(n int, mean, cov []float32) {
	if p.mean == nil {
		p.mean, p.scatter = make([]float64, len(mean)), make([]float64, len(cov))
	}
	off := make([]float64, len(mean))
	for i, v := range mean {
		off[i] = float64(v) - p.mean[i]
	}
	weight := float64(p.n) * float64(n) / float64(p.n+n)
	for i := range off {
		for j := range off {
			at := i*len(off) + j
			p.scatter[at] += float64(cov[at])*float64(n) + weight*off[i]*off[j]
		}
	}
	p.n += n
	for i := range off {
		p.mean[i] += off[i] * float64(n) / float64(p.n)
	}
}

// result writes mean and unbiased covariance.
func (p *pooled) result(mean, cov []float32) {
	for i, v := range p.mean {
		mean[i] = float32(v)
	}
	for i, v := range p.scatter {
		cov[i] = float32(v / float64(p.n-1))
	}
}

// duoPlaces is the number of positions over which DuoAttention's average query looks back.
const duoPlaces = 500

// DuoPattern reads texts and measures how far back every KV head looks with its average query, (Layers, KVHeads): the
// pattern that duo_attention needs, without training. After the Python kvpress, which calls this scoring on the fly.
func (m *LLM) DuoPattern(ctx context.Context, texts []string) (tensor.Mat, error) {
	c := m.Config
	pattern := tensor.New(c.Layers, c.KVHeads)
	err := m.eachText(ctx, texts, func(_ *Session, layer int, l *kvpress.Layer) error {
		queries, _, err := l.QueryMoments(0)
		if err != nil {
			return err
		}
		for h := range c.KVHeads {
			keys, err := l.KeysBeforeRope(h)
			if err != nil {
				return err
			}
			key := make([]float32, c.Dim)
			for i := range keys.Rows {
				tensor.AddScaled(key, 1/float32(keys.Rows), keys.Row(i))
			}
			for g := range c.group() {
				far := m.lookBack(queries.Row(h*c.group()+g), key)
				pattern.Row(layer)[h] += far / float32(c.group()*len(texts))
			}
		}
		return nil
	})
	return pattern, err
}

// lookBack is how early, from 0 to 1, a query at the last place finds a key that stands at all places.
func (m *LLM) lookBack(query, key []float32) float32 {
	rope := m.decoder.rope(duoPlaces)
	q := append([]float32(nil), query...)
	rope.Rotate(q, duoPlaces-1)
	attention := make([]float32, duoPlaces)
	for place := range attention {
		k := append([]float32(nil), key...)
		rope.Rotate(k, place)
		attention[place] = tensor.Dot(q, k) * m.Config.scale()
	}
	tensor.Softmax(attention)
	var seen, sum float32
	for _, a := range attention {
		seen += a
		sum += seen
	}
	return sum / duoPlaces
}
