package hub

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/kvnotes/kvnotes/kvpress/weights"
)

type object = map[string]interface{}

// Types of tokens in GGUF files.
const (
	unknownToken = 2
	controlToken = 3
	userToken    = 4
)

// tokenizerFiles rebuilds tokenizer.json and tokenizer_config.json from GGUF metadata.
func tokenizerFiles(g *weights.GGUF, s sizes) (tokenizer, config object, err error) {
	kind, err := g.String("tokenizer.ggml.model")
	if err != nil {
		return nil, nil, err
	}
	tokens, err := g.Strings("tokenizer.ggml.tokens")
	if err != nil {
		return nil, nil, err
	}
	for _, id := range s.special {
		if id < 0 || id >= len(tokens) {
			return nil, nil, fmt.Errorf("special token %d is not among %d tokens", id, len(tokens))
		}
	}
	types, _ := g.Metadata["tokenizer.ggml.token_type"].([]interface{})
	vocabulary, added, unknown := map[string]int{}, []object{}, interface{}(nil)
	for id, t := range tokens {
		vocabulary[t] = id
		if id >= len(types) {
			continue
		}
		switch types[id] {
		case int64(unknownToken):
			unknown = t
		case int64(controlToken), int64(userToken):
			added = append(added, object{
				"id": id, "content": t, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": types[id] == int64(controlToken),
			})
		}
	}
	model := object{
		"type": "BPE", "dropout": nil, "unk_token": nil, "continuing_subword_prefix": nil, "end_of_word_suffix": nil, "fuse_unk": false,
		"byte_fallback": false, "ignore_merges": false, "vocab": vocabulary,
	}
	tokenizer = object{"version": "1.0", "truncation": nil, "padding": nil, "added_tokens": added, "normalizer": nil, "post_processor": nil, "model": model}
	config = object{"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": s.context, "clean_up_tokenization_spaces": false}
	switch kind {
	case "gpt2":
		err = byteLevel(g, tokenizer, model)
		config["tokenizer_class"], config["add_prefix_space"] = "GPT2Tokenizer", false
	case "llama":
		model["unk_token"] = unknown
		err = sentencePiece(g, tokenizer, model, tokens, vocabulary)
	default:
		err = fmt.Errorf("GGUF tokenizer %q is not supported (supported: gpt2, llama)", kind)
	}
	for name, id := range s.special {
		config[name+"_token"] = tokens[id]
	}
	if template, ok := g.Metadata["tokenizer.chat_template"].(string); ok {
		config["chat_template"] = template
	}
	return tokenizer, config, err
}

// The patterns that cut words, as tokenizer.json writes them.
const (
	cl100kPattern = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	qwen2Pattern  = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
)

// byteLevel fills in a byte-level BPE by the name that GGUF gives to its way of cutting words.
func byteLevel(g *weights.GGUF, tokenizer, model object) error {
	level := func(regex bool) object {
		return object{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": regex}
	}
	split := func(pattern string) object {
		return object{"type": "Split", "pattern": object{"Regex": pattern}, "behavior": "Isolated", "invert": false}
	}
	var steps []interface{}
	switch name, _ := g.Metadata["tokenizer.ggml.pre"].(string); name {
	case "smollm":
		steps = []interface{}{object{"type": "Digits", "individual_digits": true}, level(true)}
	case "gpt-2":
		steps = []interface{}{level(true)}
	case "llama-bpe":
		steps = []interface{}{split(cl100kPattern), level(false)}
		model["ignore_merges"] = true
	case "qwen2":
		steps = []interface{}{split(qwen2Pattern), level(false)}
		tokenizer["normalizer"] = object{"type": "NFC"}
	default:
		return fmt.Errorf("GGUF tokenizer %q with splitting %q is not supported (supported: gpt-2, llama-bpe, qwen2, smollm)", "gpt2", name)
	}
	merges, err := g.Strings("tokenizer.ggml.merges")
	model["merges"] = merges
	tokenizer["pre_tokenizer"] = object{"type": "Sequence", "pretokenizers": steps}
	tokenizer["decoder"] = object{"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true}
	return err
}

// sentencePiece fills in a SentencePiece vocabulary with scores. What two pieces make is a merge, and the better its
// score the earlier it comes.
func sentencePiece(g *weights.GGUF, tokenizer, model object, tokens []string, vocabulary map[string]int) error {
	scores, ok := g.Metadata["tokenizer.ggml.scores"].([]interface{})
	if !ok || len(scores) != len(tokens) {
		return fmt.Errorf("GGUF tokenizer %q: %d scores for %d tokens", "llama", len(scores), len(tokens))
	}
	type merge struct {
		left, right string
		score       float64
	}
	var merges []merge
	for id, piece := range tokens {
		score, _ := scores[id].(float64)
		if strings.HasPrefix(piece, "<") && strings.HasSuffix(piece, ">") {
			continue // control and byte tokens
		}
		first := len(merges)
		for at := range piece {
			if at > 0 && utf8.RuneStart(piece[at]) {
				_, ok1 := vocabulary[piece[:at]]
				_, ok2 := vocabulary[piece[at:]]
				if ok1 && ok2 {
					merges = append(merges, merge{piece[:at], piece[at:], score})
				}
			}
		}
		local := merges[first:]
		slices.SortStableFunc(local, func(a, b merge) int {
			return cmp.Or(cmp.Compare(vocabulary[a.left], vocabulary[b.left]), cmp.Compare(vocabulary[a.right], vocabulary[b.right]))
		})
	}
	slices.SortStableFunc(merges, func(a, b merge) int { return cmp.Compare(b.score, a.score) })
	pairs := make([][2]string, len(merges))
	for i, m := range merges {
		pairs[i] = [2]string{m.left, m.right}
	}
	model["merges"], model["byte_fallback"], model["fuse_unk"] = pairs, true, true

	blanks := object{"type": "Replace", "pattern": object{"String": " "}, "content": "▁"}
	tokenizer["normalizer"] = blanks
	decoders := []interface{}{
		object{"type": "Replace", "pattern": object{"String": "▁"}, "content": " "}, object{"type": "ByteFallback"}, object{"type": "Fuse"},
	}
	if prefix, ok := g.Metadata["tokenizer.ggml.add_space_prefix"].(bool); !ok || prefix {
		tokenizer["normalizer"] = object{"type": "Sequence", "normalizers": []interface{}{object{"type": "Prepend", "prepend": "▁"}, blanks}}
		decoders = append(decoders, object{"type": "Strip", "content": " ", "start": 1, "stop": 0})
	}
	tokenizer["pre_tokenizer"], tokenizer["decoder"] = nil, object{"type": "Sequence", "decoders": decoders}
	return nil
}
