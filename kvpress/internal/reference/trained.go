package reference

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// trainers make the catalogue entries of methods from the weights that the reference invented for them.
var trainers = map[string]func(*Group, *Spec) (kvpress.Method, error){
	"QFilterPress":                (*Group).qfilter,
	"ExpectedAttentionStatsPress": (*Group).statistics,
	"KVzapPress":                  (*Group).kvzap,
	"FastKVzipPress":              (*Group).fastkvzip,
	"DuoAttentionPress":           (*Group).duo,
	"LUKVPress":                   (*Group).lukv,
}

// lend registers the methods of a press and those inside it with the weights of the group, until forget.
func (g *Group) lend(s *Spec) (forget func(), err error) {
	var before []kvpress.Method
	forget = func() {
		for _, m := range before {
			kvpress.Register(m)
		}
	}
	for _, spec := range s.all() {
		train, ok := trainers[spec.Name]
		if !ok {
			continue
		}
		m, err := train(g, spec)
		if err != nil {
			return forget, fmt.Errorf("%w: %w", ErrNotBuilt, err)
		}
		old, err := kvpress.MethodNamed(m.Name)
		if err != nil {
			return forget, err
		}
		before = append(before, old)
		kvpress.Register(m)
	}
	return forget, nil
}

func (g *Group) qfilter(*Spec) (kvpress.Method, error) {
	filters, err := g.Layers("mock.qfilter")
	return kvpress.Method{Name: "qfilter", Scorer: kvpress.QFilter{Filters: filters}}, err
}

func (g *Group) statistics(*Spec) (kvpress.Method, error) {
	mean, err := g.Layers("mock.ea_mean")
	if err != nil {
		return kvpress.Method{}, err
	}
	cov, err := g.matrices("mock.ea_cov")
	return kvpress.Method{Name: "expected_attention_stats", Scorer: kvpress.ExpectedAttentionStats{Mean: mean, Cov: cov}}, err
}

func (g *Group) lukv(*Spec) (kvpress.Method, error) {
	curve, err := g.Layers("mock.lukv_curve")
	return kvpress.Method{Name: "lukv", Press: kvpress.LUKV{Scorer: kvpress.ExpectedAttention{Epsilon: 0.02}, Curve: curve}}, err
}

func (g *Group) duo(*Spec) (kvpress.Method, error) {
	pattern, err := g.matrix("mock.duo")
	if err != nil {
		return kvpress.Method{}, err
	}
	var sizes [2]int
	if err := g.header("duo_sink_recent", &sizes); err != nil {
		return kvpress.Method{}, err
	}
	return kvpress.Method{Name: "duo_attention", Press: kvpress.DuoAttention{Pattern: pattern, Sinks: sizes[0], Recent: sizes[1]}}, nil
}

func (g *Group) kvzap(s *Spec) (kvpress.Method, error) {
	prefix, parts := "mock.kvzap.mlp.layers.", []string{".0", ".2"}
	if string(s.Args["model_type"]) == `"linear"` {
		prefix, parts = "mock.kvzap.linear.layers.", []string{""}
	}
	var zap kvpress.KVzap
	for {
		var net []kvpress.Affine
		for _, part := range parts {
			a, err := g.affine(prefix + strconv.Itoa(len(zap.Nets)) + part)
			if err != nil && len(zap.Nets) > 0 {
				return kvpress.Method{Name: "kvzap", Scorer: zap}, nil // past the last layer
			}
			if err != nil {
				return kvpress.Method{}, err
			}
			net = append(net, a)
		}
		zap.Nets = append(zap.Nets, net)
	}
}

func (g *Group) fastkvzip(*Spec) (kvpress.Method, error) {
	var press kvpress.FastKVzip
	for {
		gate, err := g.gate("mock.fastkvzip." + strconv.Itoa(len(press.Gates)) + ".")
		if err != nil && len(press.Gates) > 0 {
			return kvpress.Method{Name: "fastkvzip", Press: press}, nil // past the last layer
		}
		if err != nil {
			return kvpress.Method{}, err
		}
		press.Gates = append(press.Gates, gate)
	}
}

func (g *Group) gate(name string) (gate kvpress.Gate, err error) {
	query, err := g.affine(name + "q_proj")
	if err != nil {
		return gate, err
	}
	key, err := g.matrix(name + "k_proj.weight")
	if err != nil {
		return gate, err
	}
	queryNorm, _, err := g.Floats(name + "q_norm.weight")
	if err != nil {
		return gate, err
	}
	keyNorm, _, err := g.Floats(name + "k_norm.weight")
	if err != nil {
		return gate, err
	}
	base, err := g.matrices(name + "k_base") // (KV heads, 1, base keys, o)
	if err != nil {
		return gate, err
	}
	bias, err := g.Layers(name + "b") // (KV heads, 1, group)
	if err != nil {
		return gate, err
	}
	gate = kvpress.Gate{Query: query, Key: kvpress.Affine{Weight: key}, QueryNorm: queryNorm, KeyNorm: keyNorm}
	for h := range base {
		gate.Base = append(gate.Base, base[h]...)
		gate.Bias.Rows++
		gate.Bias.Cols = bias[h].Cols
		gate.Bias.Data = append(gate.Bias.Data, bias[h].Data...)
	}
	return gate, nil
}

func (g *Group) affine(name string) (kvpress.Affine, error) {
	weight, err := g.matrix(name + ".weight")
	if err != nil {
		return kvpress.Affine{}, err
	}
	bias, _, err := g.Floats(name + ".bias")
	return kvpress.Affine{Weight: weight, Bias: bias}, err
}

func (g *Group) matrix(name string) (tensor.Mat, error) {
	x, shape, err := g.Floats(name)
	if err == nil && len(shape) != 2 {
		err = errors.New(name + " is not a matrix")
	}
	if err != nil {
		return tensor.Mat{}, err
	}
	return tensor.Mat{Rows: shape[0], Cols: shape[1], Data: x}, nil
}
