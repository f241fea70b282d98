"""Runs notebooks in Jupyter, from the first cell to the last, and keeps what they became, also as web pages.

With --save they are also written back as they are committed: with pictures that stand still, and without scripts. The
picture of the cell with the tag "cover" goes into the folder pictures, for the README.

A notebook fails when one of its cells fails; each ends with a cell that checks its claims. The file named by
KVNOTES_TABLE is for a notebook's answers: they are printed as a table.
"""

import argparse
import json
import os
import re
import shutil
import sys
import time

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbconvert import HTMLExporter

CELL_SECONDS = 900  # longest time for one cell
MOST_BYTES = 1_500_000  # of a committed notebook
PROGRESS = re.compile(r"^[a-z ]+ \d+ of \d+, ")


class Told(NotebookClient):
    """A client that says which cell runs."""

    async def async_execute_cell(self, cell, cell_index, **kwargs):
        if cell.cell_type == "code":
            first = cell.source.strip().split("\n")[0]
            print(f"  [{cell_index + 1}/{len(self.nb.cells)}] {first[:90]}", flush=True)
        return await super().async_execute_cell(cell, cell_index, **kwargs)


def still(notebook):
    """Takes out of a notebook what moves: scripts, widgets, progress and times."""
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type != "code":
            continue
        kept = []
        for output in cell.outputs:
            data = output.get("data", {})
            if PROGRESS.match(data.get("text/plain", "")):
                continue
            data.pop("application/vnd.jupyter.widget-view+json", None)
            if "image/svg+xml" in data or "image/png" in data or "text/markdown" in data:
                data.pop("text/html", None)
            kept.append(output)
        cell.outputs = kept


def save(notebook, path):
    """Writes a notebook back as it is committed, and its cover."""
    still(notebook)
    text = nbformat.writes(notebook)
    if len(text.encode()) > MOST_BYTES:
        raise SystemExit(f"{path} would have {len(text.encode())} bytes, at most {MOST_BYTES} are committed: draw less")
    write(path, text + "\n")
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if "cover" in cell.metadata.get("tags", []) and "image/svg+xml" in output.get("data", {}):
                name = os.path.splitext(os.path.basename(path))[0] + ".svg"
                write(os.path.join(os.path.dirname(os.path.abspath(path)), "pictures", name), output.data["image/svg+xml"])


def write(path, text):
    """Writes a file under a temporary name, then renames it."""
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    with open(path + ".new", "w", encoding="utf-8") as f:
        f.write(text)
    os.replace(path + ".new", path)


def run(path, out, keep, tag):
    """Runs one notebook, or its cells with a tag, and returns whether all of them succeeded."""
    name = os.path.splitext(os.path.basename(path))[0]
    table = os.path.abspath(os.path.join(out, name + ".json"))
    if os.path.exists(table):
        os.remove(table)
    os.environ["KVNOTES_TABLE"] = table
    notebook = nbformat.read(path, 4)
    if tag:
        notebook.cells = [cell for cell in notebook.cells if tag in cell.metadata.get("tags", [])]
    language = notebook.metadata.get("language_info")
    print(f"running {path} in the Go kernel", flush=True)
    start, error = time.time(), None
    folder = os.path.dirname(os.path.abspath(path))
    try:
        Told(notebook, timeout=CELL_SECONDS, kernel_name="kvnotes", resources={"metadata": {"path": folder}}).execute()
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as e:  # the others run all the same
        error = e
    done, page = os.path.join(out, name + ".ipynb"), os.path.join(out, name + ".html")
    nbformat.write(notebook, done)
    with open(page, "w", encoding="utf-8") as f:
        f.write(HTMLExporter().from_notebook_node(notebook)[0])
    if error is not None:
        print(f"{error}\n{path} failed after {time.time() - start:.0f} s; as far as it came it is in {done}", flush=True)
        return False
    if os.path.exists(table):
        with open(table, encoding="utf-8") as f:
            show(json.load(f))
    if keep:
        notebook.metadata.language_info = language  # as it was: the kernel's own has its version
        save(notebook, path)
    print(f"\n{time.time() - start:.0f} s. The notebook: {done}  The page: {page}", flush=True)
    return True


def show(rows):
    """Prints a notebook's answers as a table, as wide as the terminal; right ones have a mark."""
    lines = [("question", "press", "ratio", "answer", "KV MB", "prefill s", "press ms")]
    for r in rows:
        size = f"{r['kv_bytes_before'] / 1e6:.1f} -> {r['kv_bytes_after'] / 1e6:.1f}"
        answer = ("+ " if r["right"] else "  ") + r["answer"]
        lines.append((cut(r["question"], 36), r["press"], f"{r['ratio']:g}", answer, size, f"{r['prefill_s']:.1f}", f"{r['press_ms']:.0f}"))
    widths = [max(map(len, column)) for column in zip(*lines)]
    room = shutil.get_terminal_size((180, 24)).columns - sum(widths) - 2 * len(widths)
    widths[3] = max(30, widths[3] + min(0, room))
    print()
    for line in lines:
        print("  ".join(cut(text, width).ljust(width) for text, width in zip(line, widths)).rstrip())
    print(f"\n{sum(r['right'] for r in rows)} of {len(rows)} answers are right (+)")


def cut(text, length):
    """Shortens a text in its middle: the ends of questions and answers tell them apart."""
    if len(text) <= length:
        return text
    head = (length - 3) // 3
    return text[:head] + "..." + text[len(text) - (length - 3 - head) :]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--out", required=True, help="folder for the notebooks as they ran")
    parser.add_argument("--save", action="store_true", help="write the notebooks back with still pictures, as they are committed")
    parser.add_argument("--tag", help="run only the cells with this tag: Binder's set-up keeps the prefill of cells with the tag prefill")
    parser.add_argument("notebooks", nargs="+")
    args = parser.parse_args()
    if args.save and args.tag:
        parser.error("--save wants whole notebooks")
    os.makedirs(args.out, exist_ok=True)
    failed = [path for path in args.notebooks if not run(path, args.out, args.save, args.tag)]
    if failed:
        print("failed:", *failed)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
