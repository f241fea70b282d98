"""Render templates.txt with Python's Jinja as transformers sets it up, one template a line, into golden.json.

    python3 make_golden.py      # needs transformers and jinja2
"""

import json
from pathlib import Path

from transformers.utils.chat_template_utils import _compile_jinja_template

HERE = Path(__file__).parent
VALUES = {
    "messages": [
        {"role": "system", "content": " Be brief.\n"},
        {"role": "user", "content": "Weather in Zürich?"},
        {"role": "assistant", "content": None, "tool_calls": [{"id": 1, "function": {"name": "get", "arguments": {"b": 2.50, "a": [True, None, "x<y>&'\"\n"]}}}]},
        {"role": "tool", "content": [{"type": "text", "text": "rain"}, {"type": "image"}]},
    ],
    "n": 7, "x": 2.5, "big": 1e20, "text": "The quick brown  fox\tjumps\nover it", "empty": "", "yes": True, "nothing": None,
    "list": [3, 1, 2], "words": ["b", "A", "c", "a"], "d": {"z": 1, "y": {"k": "v"}, "items": "key"}, "é": "ü",
}

cases = []
for line in (HERE / "templates.txt").read_text().splitlines():
    if not line:
        continue
    template = line.replace("⏎", "\n")
    try:
        case = {"template": template, "rendered": _compile_jinja_template.__wrapped__(template).render(**VALUES)}
    except Exception as error:
        case = {"template": template, "error": str(error)}
    cases.append(case)
text = ",\n".join(json.dumps(c, ensure_ascii=False) for c in cases)
(HERE / "golden.json").write_text('{"values": %s, "cases": [\n%s\n]}\n' % (json.dumps(VALUES, ensure_ascii=False), text))
