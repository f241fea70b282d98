"""Cut a small subset out of the full golden tokenizer data, in the same format.

    python3 make_subset.py REFERENCE/tokenizers OUT

keeps three families (SentencePiece with byte fallback, o200k's pattern, Llama-3 with ignore_merges) and every third of
their cases. Plain Python.
"""

import json
import sys
from pathlib import Path

FAMILIES = ("phi3", "o200k", "llama3")


def write(path, value):
    path.write_text(json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n")


def main(source, out):
    for family in FAMILIES:
        to = out / family
        to.mkdir(parents=True, exist_ok=True)
        for name in ("tokenizer.json", "tokenizer_config.json"):
            write(to / name, json.loads((source / family / name).read_text()))
        cases = json.loads((source / family / "cases.json").read_text())
        short = {k: [c for c in cases[k] if len(json.dumps(c)) < 1500][::3] for k in ("cases", "fuzz", "decode", "chat")}
        write(to / "cases.json", {"family": family, "now": cases["now"], **short})


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
