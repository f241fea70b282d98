"""Cut a small subset out of the full reference data, in the same format.

    python3 make_subset.py REFERENCE OUT

keeps the models below and, of their cases at ratio 0.5, the uncompressed one and the presses below. Plain Python.
"""

import json
import shutil
import struct
import sys
from pathlib import Path

MODELS = ("llama", "gemma3")
LABELS = {
    "Random", "Knorm", "KeyDiff", "StreamingLLM", "SnapKV", "TOVA", "ObservedAttention", "ExpectedAttention",
    "AdaKV(SnapKV)", "AdaKV(ExpectedAttention)", "AdaSnapKV(fork)", "KeyRerotation(SnapKV)",
    "KVzip", "KVzip-plus", "KVgrad-chunk64", "KVCompose", "KVCompose-unstructured", "RestoreKV",
}  # fmt: skip
SKIPPED = {"question_logits", "context_logits_last8"}  # no test here reads them


def read_tensors(path):
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + size])
    header.pop("__metadata__", None)
    start = 8 + size
    return {k: (v["dtype"], v["shape"], data[start + v["data_offsets"][0] : start + v["data_offsets"][1]]) for k, v in header.items()}


def write_tensors(path, tensors):
    header, offset = {}, 0
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, offset + len(data)]}
        offset += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(t[2] for t in tensors.values()))


def cut(source, out, family):
    model, group = out / "models" / family, out / "tiny" / family
    model.mkdir(parents=True, exist_ok=True)
    group.mkdir(parents=True, exist_ok=True)
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        shutil.copyfile(source / "models" / family / name, model / name)
    index = json.loads((source / "tiny" / family / "index.json").read_text())
    tensors = read_tensors(source / "tiny" / family / "tensors.safetensors")
    cases = [c for c in index["cases"] if c["id"] == "none" or (c["label"] in LABELS and c["ratio"] == 0.5 and "error" not in c)]
    names = [index["context"], index["question"]]
    for case in cases:
        skipped = SKIPPED if family == "llama" else SKIPPED | {"keys", "values"}
        case["tensors"] = {k: v for k, v in case["tensors"].items() if k not in skipped}
        names += case["tensors"].values()
        if case.get("label") == "RestoreKV":
            names += [n for n in tensors if n.startswith("mock.restorekv.")]
    write_tensors(group / "tensors.safetensors", {n: tensors[n] for n in names})
    header = {k: v for k, v in index.items() if k not in ("cases", "duo_on_the_fly", "finch_context", "finch_delimiter")}
    lines = ",\n".join(json.dumps(c) for c in cases)
    (group / "index.json").write_text(json.dumps(header)[:-1] + ', "cases": [\n' + lines + "\n]}\n")


if __name__ == "__main__":
    for family in MODELS:
        cut(Path(sys.argv[1]), Path(sys.argv[2]), family)
