"""Installs what make dist built into empty folders, as somebody without Go would, and tries it: doctor, a notebook cell,
ECharts at the address where charts look for it."""

import json
import os
import pathlib
import platform
import re
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
import venv
import zipfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROCESSOR = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
CELL = """
import nbformat, nbclient
from nbformat.v4 import new_notebook, new_code_cell
code = 'import "github.com/kvnotes/kvnotes/viz"\\nviz.RetainedOf(viz.Kept{Press: "x:0.5", Lens: [][]int{{1, 2}, {3, 4}}, Full: 8})'
nb = new_notebook(cells=[new_code_cell("6*7"), new_code_cell(code)])
nbclient.NotebookClient(nb, kernel_name="kvnotes", timeout=120).execute()
assert nb.cells[0].outputs[0].data["text/plain"] == "42", nb.cells[0].outputs
assert "<svg" in nb.cells[1].outputs[0].data["image/svg+xml"], nb.cells[1].outputs
print("two cells: 42, and a chart")
"""


def step(title, command, env, accept=(0,)):
    print("==", title, flush=True)
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=env["HOME"])
    print(done.stdout, end="", flush=True)
    if done.returncode not in accept:
        raise SystemExit(f"{title}: failed with {done.returncode}")
    return done.stdout


def reach_echarts(python, env):
    """Starts a Jupyter server, and asks it for the file that charts ask for."""
    print("== ECharts, from a Jupyter server", flush=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [python, "-m", "jupyter_server", "--no-browser", "--ip=127.0.0.1", f"--port={port}", "--ServerApp.port_retries=0", "--ServerApp.token=", "--ServerApp.password=", "--allow-root", "--ServerApp.root_dir=" + env["HOME"]],
        env=env, cwd=env["HOME"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    url, until = f"http://127.0.0.1:{port}/", time.monotonic() + 60
    try:
        while True:
            try:
                with urllib.request.urlopen(url + "kernelspecs/kvnotes/echarts.min.js") as answer:
                    script = answer.read()
                break
            except urllib.error.URLError:
                if server.poll() is not None or time.monotonic() > until:
                    raise
                time.sleep(0.2)
        assert b"echarts" in script and len(script) > 500_000, len(script)
        with urllib.request.urlopen(url + "api/kernelspecs") as answer:
            assert json.load(answer)["kernelspecs"]["kvnotes"]["spec"]["language"] == "go"
        print(f"{len(script)} bytes of ECharts")
    finally:
        server.terminate()
        server.wait()


def go_install(env):
    """Installs the committed tree as a stranger's go install would: from a module proxy, which is a folder here."""
    print("== go install, from a module proxy", flush=True)
    version = "v" + re.search(r'const version = "(.*)"', (ROOT / "kernel/kvnotes/version.go").read_text())[1]
    module = "github.com/kvnotes/kvnotes"
    home = pathlib.Path(env["HOME"])
    proxy = home / "proxy" / module / "@v"
    proxy.mkdir(parents=True)
    (proxy / f"{version}.info").write_text(json.dumps({"Version": version}))
    (proxy / "list").write_text(version + "\n")
    (proxy / f"{version}.mod").write_bytes((ROOT / "go.mod").read_bytes())
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout.decode().split("\0")[:-1]
    with zipfile.ZipFile(proxy / f"{version}.zip", "w", zipfile.ZIP_DEFLATED) as z:
        for name in files:
            z.write(ROOT / name, f"{module}@{version}/{name}")
    known = subprocess.run(["go", "env", "GOPROXY", "GOMODCACHE", "GOCACHE"], check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    there = {**os.environ, "GOBIN": str(home / "gobin"), "GOPROXY": f"file://{home}/proxy,{known[0]}", "GONOSUMDB": module + ",github.com/cosmos72/gomacro",
             "GOMODCACHE": str(home / "mod"), "GOCACHE": known[2], "GOFLAGS": "-modcacherw -trimpath", "CGO_ENABLED": "0", "GOTOOLCHAIN": "go1.26.8"}
    step("go install", ["go", "install", f"{module}/kernel/kvnotes@{version}"], {**there, "HOME": env["HOME"]})
    said = step("its version", [home / "gobin/kvnotes", "--version"], env)
    assert version in said, said
    return home / "gobin/kvnotes"


def try_cuda(wheel, folder, env, pip):
    """Installs the wheel with CUDA, which says what is missing where there is no driver, and works on the processor."""
    venv.create(folder, with_pip=True)
    step("pip install, CUDA", [folder / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wheel], pip)
    program = folder / "bin/kvnotes-cuda"
    out = step("doctor of the wheel with CUDA", [program, "doctor"], env, (0, 1))
    assert "an NVIDIA card starts" in out or "there is no NVIDIA driver on this machine" in out, out
    assert (folder / "share/jupyter/kernels/kvnotes-cuda/kernel.json").exists()
    step("a question, on what there is", [program, "eval", "--backend", "auto", "--samples", "4", "--press", "knorm:0.5", "--out", folder / "results"], env)


def main():
    dist = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "dist").resolve()
    (wheel,) = dist.glob("kvnotes-*.whl")
    (archive,) = dist.glob(f"kvnotes-*-{platform.system().lower()}-{PROCESSOR}.tar.gz")
    step("checksums", ["sha256sum", "--check", "--quiet", "SHA256SUMS"], {**os.environ, "HOME": str(dist)})
    with tempfile.TemporaryDirectory() as folder:
        home = pathlib.Path(folder)
        env = {"HOME": folder, "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}  # no Go, and nothing of this project

        with tarfile.open(archive) as t:
            t.extractall(home / "tar", filter="data")
        (program,) = (home / "tar").glob("*/kvnotes")
        out = step("doctor of the tarball", [program, "doctor"], env, (0, 1))  # it says that Jupyter and a model are missing
        assert "needle is part of the program" in out and "the kernel is not installed" in out, out
        step("a question, from the tarball", [program, "eval", "--samples", "4", "--press", "knorm:0.5", "--out", home / "results"], env)
        step("its kernel", [program, "kernel", "install"], env)
        assert (home / ".local/share/jupyter/kernels/kvnotes/echarts.min.js").stat().st_size > 500_000
        step("and away", [program, "kernel", "uninstall"], env)

        venv.create(home / "env", with_pip=True)
        python = home / "env/bin/python"
        pip = {**env, **{k: v for k, v in os.environ.items() if k.startswith("PIP_") or k.lower().endswith("_proxy")}}
        step("pip install", [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wheel, "nbclient", "jupyter_server"], pip)
        out = step("doctor of the wheel", [home / "env/bin/kvnotes", "doctor"], env, (0, 1))
        assert "the kernel is in " + str(home / "env") in out, out
        step("cells", [python, "-c", CELL], env)
        reach_echarts(python, env)
        if shutil.which("go"):
            program = go_install(env)
            step("its kernel", [program, "kernel", "install", "--prefix", home / "env"], env)
            step("cells in that kernel", [python, "-c", CELL], env)
        for cuda in dist.glob("kvnotes_cuda-*.whl"):
            try_cuda(cuda, home / "cuda", env, pip)
        step("pip uninstall", [python, "-m", "pip", "uninstall", "--quiet", "--yes", "kvnotes"], env)
        assert not (home / "env/bin/kvnotes").exists()
    print("the packages work")


if __name__ == "__main__":
    main()
