// Package invented makes up what methods learn beforehand, so that tests can try them on any model without files.
package invented

import (
	"math/rand/v2"

	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// Register registers the methods of package kvpress that learn something, with invented weights for a model: one with
// the Layers, Heads, KVHeads, Dim and Width of m.
func Register(m kvpress.Layer) {
	r := rand.New(rand.NewPCG(1, 2))
	normal := func(rows, cols int) tensor.Mat {
		x := tensor.New(rows, cols)
		for i := range x.Data {
			x.Data[i] = float32(r.NormFloat64()) * 0.3
		}
		return x
	}
	const small = 4 // channels of a gate
	var filter kvpress.QFilter
	var stats kvpress.ExpectedAttentionStats
	var zap kvpress.KVzap
	var fast kvpress.FastKVzip
	for range m.Layers {
		filter.Filters = append(filter.Filters, normal(m.KVHeads, m.Dim))
		stats.Mean = append(stats.Mean, normal(m.Heads, m.Dim))
		var cov []tensor.Mat
		for range m.Heads {
			a, c := normal(m.Dim, m.Dim), tensor.New(m.Dim, m.Dim)
			tensor.MulT(c, a, a)
			cov = append(cov, c)
		}
		stats.Cov = append(stats.Cov, cov)
		zap.Nets = append(zap.Nets, []kvpress.Affine{{Weight: normal(8, m.Width), Bias: make([]float32, 8)}, {Weight: normal(m.KVHeads, 8)}})
		gate := kvpress.Gate{
			Query:     kvpress.Affine{Weight: normal(m.Heads*small, m.Width)},
			Key:       kvpress.Affine{Weight: normal(m.KVHeads*small, m.Width)},
			QueryNorm: []float32{1, 1, 1, 1}, KeyNorm: []float32{1, 1, 1, 1}, Bias: normal(m.KVHeads, m.Heads/m.KVHeads),
		}
		for range m.KVHeads {
			gate.Base = append(gate.Base, normal(3, small))
		}
		fast.Gates = append(fast.Gates, gate)
	}
	lukv := kvpress.LUKV{Scorer: kvpress.KeyDiff{}}
	for i := range 99 {
		curve := tensor.New(m.Layers, m.KVHeads)
		for j := range curve.Data {
			curve.Data[j] = float32(i+1) / 100 * (0.8 + 0.1*float32(j%3))
		}
		lukv.Curve = append(lukv.Curve, curve)
	}
	duo := kvpress.DuoAttention{Pattern: normal(m.Layers, m.KVHeads), Sinks: 4, Recent: 16}
	for name, s := range map[string]kvpress.Scorer{"qfilter": filter, "expected_attention_stats": stats, "kvzap": zap} {
		learn(name, s, nil)
	}
	for name, p := range map[string]kvpress.Press{"fastkvzip": fast, "lukv": lukv, "duo_attention": duo} {
		learn(name, nil, p)
	}
}

// learn registers a method again with what it has learnt.
func learn(name string, s kvpress.Scorer, p kvpress.Press) {
	m, err := kvpress.MethodNamed(name)
	if err != nil {
		panic(err) // a method of package kvpress has gone
	}
	m.Scorer, m.Press = s, p
	if name == "duo_attention" {
		m.Example = "duo_attention(ratio=0.5)" // beside the sizes that its prototype has
	}
	kvpress.Register(m)
}
