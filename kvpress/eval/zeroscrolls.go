package eval

import "strings"

// ZeroSCROLLS (Shaham et al., arXiv 2305.14196) keeps its answers: they are scored on its own site.
var zeroscrolls = fileSet{
	name: "zero_scrolls",
	tasks: []string{
		"gov_report", "summ_screen_fd", "qmsum", "qasper", "narrative_qa", "quality", "musique", "squality", "space_digest", "book_sum_sort",
	},
	columns: "input, document_end_index, query_end_index",
	samples: func(r *row, task string) []Sample {
		text := []rune(r.text("input"))
		document, query := r.count("document_end_index"), r.count("query_end_index")
		if r.err == nil && (document > query || query > len(text)) {
			r.fail("query_end_index", "it is not between the end of the document and that of the input")
		}
		if r.err != nil {
			return nil
		}
		return []Sample{{
			Context:   string(text[:document]),
			Question:  string(text[document:query]),
			Prefix:    strings.TrimSpace(string(text[query:])),
			MaxTokens: prompts["zero_scrolls"][task].Tokens,
		}}
	},
}

var zeroscrollsBenchmark = Benchmark{
	Name:    zeroscrolls.name,
	About:   "ZeroSCROLLS' ten tasks; from its files; answers are recorded, and scored on its own site",
	Samples: zeroscrolls.read,
	Measure: func(Sample, string) []Measure { return nil },
}
