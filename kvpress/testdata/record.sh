#!/bin/sh
# Records the golden data of this repository again, with the real kvpress: needs Python with kvpress 0.5.5 and the
# pulled model. KVNOTES_PYTHON names the Python; without it one is set up in build/kvpress.
set -eu
cd "$(dirname "$0")/../.."
python=${KVNOTES_PYTHON:-build/kvpress/bin/python}
if [ -z "${KVNOTES_PYTHON:-}" ] && [ ! -e build/kvpress/ready ]; then
	python3 -m venv build/kvpress
	build/kvpress/bin/pip install --quiet kvpress==0.5.5 transformers==5.2.0
	touch build/kvpress/ready
fi
made=build/reference
here=kvpress/testdata/reference

"$python" kvpress/testdata/make_reference.py --out "$made" --which tiny --models llama,gemma3 --ratios 0.5
"$python" kvpress/testdata/make_subset.py "$made" "$here"

"$python" kvpress/testdata/make_reference.py --out "$here" --which smollm2 --model "$(bin/kvnotes pull smollm2 --print-path)" \
	--article kvpress/hub/article.txt --questions kvpress/hub/questions.json --asked 0,3,6 --ratios 0.5 --no-logits \
	--presses 'Knorm;SnapKV;ExpectedAttention;AdaSnapKV(fork);KeyRerotation(Knorm)'
