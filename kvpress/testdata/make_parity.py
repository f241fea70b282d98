#!/usr/bin/env python3
"""Ask the Python kvpress what kvnotes eval asks, for comparing answers.

    bin/kvnotes eval samples --model smollm2 --bench ruler --task niah_single_2 --tokens 1024 --samples 10 |
        make_parity.py --model "$(bin/kvnotes pull smollm2 --print-path)" > ../eval/testdata/parity.json

reads samples from standard input and writes the answers of kvpress's own pipeline, in float32, for every press below.
Needs kvpress 0.5.5, transformers 5.2 and torch.
"""
import argparse
import importlib.metadata
import json
import os
import sys

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

import torch  # noqa: E402
from kvpress import ExpectedAttentionPress, KnormPress, SnapKVPress  # noqa: E402
from kvpress.pipeline import KVPressTextGenerationPipeline  # noqa: E402
from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: E402

PRESSES = {
    "none": None,
    "knorm:0.25": KnormPress(0.25),
    "snapkv:0.5": SnapKVPress(0.5),
    "expected_attention:0.5": ExpectedAttentionPress(0.5),
}

parser = argparse.ArgumentParser()
parser.add_argument("--model", required=True)
args = parser.parse_args()
torch.set_grad_enabled(False)
tokenizer = AutoTokenizer.from_pretrained(args.model)
model = AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float32)
pipe = KVPressTextGenerationPipeline(model=model, tokenizer=tokenizer, device="cpu")
answers = []
for line in sys.stdin:
    sample = json.loads(line)
    for name, press in PRESSES.items():
        said = pipe(
            sample["context"], question=sample["question"], answer_prefix=sample["answer_prefix"], press=press,
            max_new_tokens=sample["max_new_tokens"],
        )["answer"]  # fmt: skip
        answers.append({"sample": sample["id"], "press": name, "answer": said})
        print(sample["id"], name, repr(said), file=sys.stderr, flush=True)
versions = {name: importlib.metadata.version(name).split("+")[0] for name in ("kvpress", "transformers", "torch")}
lines = ",\n".join(" " + json.dumps(a, ensure_ascii=False) for a in answers)
print('{"versions": %s, "answers": [\n%s\n]}' % (json.dumps(versions), lines))
