"""Runs wikipedia_demo.ipynb in Jupyter, prints what it found as a table, and says where the results are."""
import json
import os
import sys
import time

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbconvert import HTMLExporter

here = os.path.dirname(os.path.abspath(__file__))
out = os.path.join(os.path.dirname(here), "build", "demo")
table = os.path.join(out, "table.json")


class Told(NotebookClient):
    """A client that says which cell runs."""

    async def async_execute_cell(self, cell, cell_index, **kwargs):
        if cell.cell_type == "code":
            first = cell.source.strip().split("\n")[0]
            print(f"  [{cell_index + 1}/{len(self.nb.cells)}] {first[:90]}", flush=True)
        return await super().async_execute_cell(cell, cell_index, **kwargs)


def main():
    os.makedirs(out, exist_ok=True)
    if os.path.exists(table):
        os.remove(table)
    os.environ["KVNOTES_TABLE"] = table
    notebook = nbformat.read(os.path.join(here, "wikipedia_demo.ipynb"), 4)
    print("running notebooks/wikipedia_demo.ipynb in the Go kernel", flush=True)
    start = time.time()
    error = None
    try:
        Told(notebook, timeout=900, kernel_name="kvnotes", resources={"metadata": {"path": here}}).execute()
    except CellExecutionError as e:
        error = e
    done, page = os.path.join(out, "wikipedia_demo.ipynb"), os.path.join(out, "wikipedia_demo.html")
    nbformat.write(notebook, done)
    body, _ = HTMLExporter().from_notebook_node(notebook)
    with open(page, "w", encoding="utf-8") as f:
        f.write(body)
    if error is not None:
        print(error, file=sys.stderr)
        print(f"the notebook failed; as far as it came it is in {done}", file=sys.stderr)
        return 1
    show(json.load(open(table, encoding="utf-8")))
    print(f"\n{time.time() - start:.0f} s. The notebook: {os.path.relpath(done)}  The page: {os.path.relpath(page)}")
    return 0


def show(rows):
    head = ("question", "press", "ratio", "answer", "KV MB", "prefill s", "press ms")
    lines = [head]
    for r in rows:
        size = f"{r['kv_bytes_before'] / 1e6:.1f} -> {r['kv_bytes_after'] / 1e6:.1f}"
        lines.append((cut(r["question"], 38), r["press"], f"{r['ratio']:g}", cut(r["answer"], 44), size, f"{r['prefill_s']:.1f}", f"{r['press_ms']:.0f}"))
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    print()
    for line in lines:
        print("  ".join(text.ljust(w) for text, w in zip(line, widths)).rstrip())


def cut(text, n):
    return text if len(text) <= n else text[: n - 3] + "..."


sys.exit(main())
