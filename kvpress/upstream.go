package kvpress

import (
	"maps"
	"slices"
)

// upstream gives the spelling of each name in the evaluation registry of the Python original. Presses that run the
// model again or act while it answers are of package llm, and known where that is linked in.
var upstream = map[string]string{
	"RestoreKV":                            "restorekv",
	"RestoreKV_plus":                       "restorekv(plus=true)",
	"adakv_compactor":                      "adakv(compactor)",
	"adakv_snapkv":                         "adakv(snapkv)",
	"block_keydiff":                        "block(keydiff)",
	"cam_knorm":                            "cam(knorm)",
	"cam_streaming_llm":                    "cam(streaming_llm)",
	"cam_tova":                             "cam(tova)",
	"chunkkv":                              "chunkkv(snapkv)",
	"compactor":                            "compactor",
	"critical_adakv_expected_attention":    "critical_adakv(expected_attention(no_value_norm=true))",
	"critical_adakv_snapkv":                "critical_adakv(snapkv)",
	"critical_expected_attention":          "criticalkv(expected_attention(no_value_norm=true))",
	"critical_snapkv":                      "criticalkv(snapkv)",
	"cur":                                  "cur",
	"decoding_adakv_expected_attention_e2": "decoding(adakv(expected_attention(epsilon=0.01)))",
	"decoding_adakv_snapkv":                "decoding(adakv(snapkv))",
	"decoding_keydiff":                     "decoding(keydiff)",
	"decoding_knorm":                       "decoding(knorm)",
	"decoding_qfilter":                     "decoding(qfilter)",
	"decoding_streaming_llm":               "decoding(streaming_llm)",
	"decoding_tova":                        "decoding(tova)",
	"duo_attention":                        "duo_attention",
	"expected_attention":                   "adakv(expected_attention(epsilon=0.01))",
	"fastkvzip":                            "fastkvzip",
	"finch":                                "finch",
	"keydiff":                              "keydiff",
	"knorm":                                "knorm",
	"kvcompose":                            "kvcompose",
	"kvcompose_unstructured":               "kvcompose(headwise=true)",
	"kvzap_linear":                         "dms(kvzap)",
	"kvzap_mlp":                            "dms(kvzap)",
	"kvzap_mlp_head":                       "kvzap",
	"kvzap_mlp_layer":                      "adakv(kvzap)",
	"kvzip":                                "kvzip",
	"kvzip_plus":                           "kvzip(plus=true)",
	"lagkv":                                "lagkv",
	"lukv":                                 "lukv(expected_attention(epsilon=0.02))",
	"merging_expected_attention":           "merging(expected_attention(epsilon=0.01))",
	"merging_knorm":                        "merging(knorm)",
	"merging_kvzap_mlp":                    "merging(kvzap)",
	"merging_snapkv":                       "merging(snapkv)",
	"observed_attention":                   "observed_attention",
	"pyramidkv":                            "pyramidkv",
	"qfilter":                              "qfilter",
	"random":                               "random",
	"snap_think":                           "composed(snapkv, think)",
	"snapkv":                               "snapkv",
	"streaming_llm":                        "streaming_llm",
	"think":                                "think",
	"tova":                                 "tova",
}

// Upstream returns the spelling, without a budget, of a name in the evaluation registry of the Python original, such as
// "adakv(snapkv)" for "adakv_snapkv"; false for a name that stands for no press. Beware of
// "expected_attention", which there is AdaKV around it.
func Upstream(name string) (spelling string, ok bool) {
	spelling, ok = upstream[name]
	return spelling, ok
}

// UpstreamNames lists the names that Upstream knows.
func UpstreamNames() []string { return slices.Sorted(maps.Keys(upstream)) }
