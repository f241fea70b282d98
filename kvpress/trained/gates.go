package trained

import (
	"errors"
	"fmt"

	"github.com/kvnotes/kvnotes/kvpress"
	"github.com/kvnotes/kvnotes/kvpress/tensor"
)

// FastKVzip reads the gates of a file that PyTorch saved: a dictionary whose "module" lists the tensors of each
// layer's gate. Nothing in the file is ever executed.
func FastKVzip(path string) (kvpress.FastKVzip, error) {
	var press kvpress.FastKVzip
	root, err := readTorch(path)
	if err != nil {
		return press, at(path, err)
	}
	dict, ok := root.(map[string]any)
	if !ok {
		return press, at(path, errors.New("a dictionary with the entry module is wanted"))
	}
	list, ok := dict["module"].(*[]any)
	if !ok || len(*list) == 0 {
		return press, at(path, errors.New("the entry module is no list of gates"))
	}
	for i, entry := range *list {
		tensors, ok := entry.(map[string]any)
		if !ok {
			return press, at(path, fmt.Errorf("gate %d is no dictionary of tensors", i))
		}
		gate, err := gateOf(tensors)
		if err != nil {
			return press, at(path, fmt.Errorf("gate %d: %w", i, err))
		}
		press.Gates = append(press.Gates, gate)
	}
	return press, nil
}

// gateOf takes the tensors of one gate together.
func gateOf(tensors map[string]any) (gate kvpress.Gate, err error) {
	shapes := map[string]int{"q_proj.weight": 2, "q_proj.bias": 1, "k_proj.weight": 2, "q_norm.weight": 1, "k_norm.weight": 1, "k_base": 4, "b": 3}
	found := map[string]array{}
	for name, dimensions := range shapes {
		a, ok := tensors[name].(array)
		if !ok {
			return gate, fmt.Errorf("tensor %s is missing", name)
		}
		if len(a.shape) != dimensions {
			return gate, fmt.Errorf("tensor %s has shape %v: %d dimensions are wanted", name, a.shape, dimensions)
		}
		found[name] = a
	}
	query, key, base, bias := found["q_proj.weight"], found["k_proj.weight"], found["k_base"], found["b"]
	if bias.shape[1] != 1 || base.shape[1] != 1 {
		return gate, errors.New("k_base and b are for one position each")
	}
	return kvpress.Gate{
		Query:     kvpress.Affine{Weight: tensor.Mat{Rows: query.shape[0], Cols: query.shape[1], Data: query.data}, Bias: found["q_proj.bias"].data},
		Key:       kvpress.Affine{Weight: tensor.Mat{Rows: key.shape[0], Cols: key.shape[1], Data: key.data}},
		QueryNorm: found["q_norm.weight"].data,
		KeyNorm:   found["k_norm.weight"].data,
		Base:      split(base.data, base.shape[2], base.shape[3]),
		Bias:      tensor.Mat{Rows: bias.shape[0], Cols: bias.shape[2], Data: bias.data},
	}, nil
}
