package kvpress

// upstream gives the spelling of each name in the evaluation registry of the Python original that stands for a press
// over one prefill. Those that run the model again or act while decoding are of package llm.
var upstream = map[string]string{
	"adakv_compactor":                   "adakv(compactor)",
	"adakv_snapkv":                      "adakv(snapkv)",
	"block_keydiff":                     "block(keydiff)",
	"chunkkv":                           "chunkkv(snapkv)",
	"compactor":                         "compactor",
	"critical_adakv_expected_attention": "critical_adakv(expected_attention(no_value_norm=true))",
	"critical_adakv_snapkv":             "critical_adakv(snapkv)",
	"critical_expected_attention":       "criticalkv(expected_attention(no_value_norm=true))",
	"critical_snapkv":                   "criticalkv(snapkv)",
	"cur":                               "cur",
	"duo_attention":                     "duo_attention",
	"expected_attention":                "adakv(expected_attention(epsilon=0.01))",
	"fastkvzip":                         "fastkvzip",
	"finch":                             "finch",
	"keydiff":                           "keydiff",
	"knorm":                             "knorm",
	"kvzap_linear":                      "dms(kvzap)",
	"kvzap_mlp":                         "dms(kvzap)",
	"kvzap_mlp_head":                    "kvzap",
	"kvzap_mlp_layer":                   "adakv(kvzap)",
	"lagkv":                             "lagkv",
	"lukv":                              "lukv(expected_attention(epsilon=0.02))",
	"merging_expected_attention":        "merging(expected_attention(epsilon=0.01))",
	"merging_knorm":                     "merging(knorm)",
	"merging_kvzap_mlp":                 "merging(kvzap)",
	"merging_snapkv":                    "merging(snapkv)",
	"observed_attention":                "observed_attention",
	"pyramidkv":                         "pyramidkv",
	"qfilter":                           "qfilter",
	"random":                            "random",
	"snap_think":                        "composed(snapkv, think)",
	"snapkv":                            "snapkv",
	"streaming_llm":                     "streaming_llm",
	"think":                             "think",
	"tova":                              "tova",
}

// Upstream returns the spelling, without a budget, of a name in the evaluation registry of the Python original, such as
// "adakv(snapkv)" for "adakv_snapkv"; false for a name that stands for no press of this package. Beware of
// "expected_attention", which there is AdaKV around it.
func Upstream(name string) (spelling string, ok bool) {
	spelling, ok = upstream[name]
	return spelling, ok
}
