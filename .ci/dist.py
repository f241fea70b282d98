"""Builds what is released into a folder: programs as tar.gz and zip, wheels for Python, the parts list of each program
(CycloneDX), and SHA256SUMS.

The same commit gives the same bytes: no times but that of the commit, sorted names, no paths of the machine. Wheels for
other systems than this one lie in the folder other, so that pip install dist/kvnotes-*.whl takes the one that fits. The
CUDA program is built only with --cuda, and is not for release: NOTICE says why.
"""

import argparse
import base64
import gzip
import hashlib
import io
import json
import os
import pathlib
import re
import subprocess
import tarfile
import time
import zipfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
VERSION = re.search(r'const version = "(.*)"', (ROOT / "kernel/kvnotes/version.go").read_text())[1]
# The system and processor as Go calls them, and what pip calls the oldest systems that run what Go builds for them.
TARGETS = {
    ("linux", "amd64"): "manylinux_2_17_x86_64.manylinux2014_x86_64.musllinux_1_1_x86_64",
    ("linux", "arm64"): "manylinux_2_17_aarch64.manylinux2014_aarch64.musllinux_1_1_aarch64",
    ("darwin", "arm64"): "macosx_12_0_arm64",
    ("windows", "amd64"): None,  # the kernel does not run there
}
CUDA = "manylinux_2_34_x86_64"  # of the C library that Colab has
SUMMARY = "Key-value caches of language models, compressed and looked at: a Jupyter kernel and a command, in Go"


def said(*command, **environment):
    return subprocess.run(command, cwd=ROOT, env={**os.environ, **environment}, check=True, stdout=subprocess.PIPE, text=True).stdout


def commit_time():
    """The seconds of 1970 that every file in the packages bears."""
    if "SOURCE_DATE_EPOCH" in os.environ:
        return int(os.environ["SOURCE_DATE_EPOCH"])
    return int(said("git", "log", "-1", "--format=%ct"))


def build(system, processor, cuda, work):
    """Builds the program and returns its path."""
    out = work / ("kvnotes" + ("-cuda" if cuda else "") + (".exe" if system == "windows" else ""))
    environment = {"GOOS": system, "GOARCH": processor, "CGO_ENABLED": "1" if cuda else "0"}
    tags = ["-tags", "cuda"] if cuda else []
    said("go", "build", "-trimpath", "-buildvcs=auto", "-ldflags=-s -w -buildid=", *tags, "-o", str(out), "./kernel/kvnotes", **environment)
    return out


def modules(program):
    """Path, version and checksum of every module in a program, as Go wrote them into it."""
    for line in said("go", "version", "-m", str(program)).splitlines():
        fields = line.split("\t")
        if len(fields) >= 5 and fields[1] == "dep":
            yield fields[2], fields[3], fields[4]


def licences():
    """The SPDX names of licences by module, as NOTICE has them."""
    return dict(re.findall(r"^(\S+) v\S+: (.+?)(?:;|$)", (ROOT / "NOTICE").read_text(), re.M))


def parts_list(program, when):
    """What a program is made of, in CycloneDX."""
    named = licences()
    components = []
    for path, version, checksum in modules(program):
        digest = base64.b64decode(checksum.removeprefix("h1:")).hex()
        reference = f"pkg:golang/{path}@{version}"
        components.append({
            "bom-ref": reference, "type": "library", "name": path, "version": version, "purl": reference,
            "hashes": [{"alg": "SHA-256", "content": digest}], "licenses": [{"expression": named[path]}],
        })
    go = re.search(r": (go\S+)", said("go", "version", str(program)))[1]
    components.append({"bom-ref": "pkg:golang/std@" + go, "type": "library", "name": "std", "version": go, "purl": "pkg:golang/std@" + go, "licenses": [{"expression": "BSD-3-Clause"}]})
    whole = {"bom-ref": "kvnotes", "type": "application", "name": "kvnotes", "version": VERSION, "licenses": [{"expression": "Apache-2.0"}]}
    return json.dumps({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json", "bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,
        "metadata": {"timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(when)), "component": whole},
        "components": components, "dependencies": [{"ref": "kvnotes", "dependsOn": [c["bom-ref"] for c in components]}],
    }, indent=1).encode() + b"\n"


def licence_texts(program):
    """The licences of everything in a program, word for word, as most of them ask for."""
    parts = [("Go", pathlib.Path(said("go", "env", "GOROOT").strip()))]
    for path, version, _ in modules(program):
        parts.append((f"{path} {version}", pathlib.Path(json.loads(said("go", "mod", "download", "-json", f"{path}@{version}"))["Dir"])))
    text = "kvnotes holds the following; NOTICE is an overview.\n"
    for name, folder in parts:
        files = sorted(f for f in folder.iterdir() if f.is_file() and re.match(r"(?i)(licen[cs]e|copying|notice|patents)", f.name))
        if not files:
            raise SystemExit(f"{name} has no licence file in {folder}")
        for f in files:
            text += f"\n{'=' * 100}\n{name}: {f.name}\n{'=' * 100}\n\n" + f.read_text(errors="replace").strip() + "\n"
    return text.encode()


def tar(path, files, when):
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.USTAR_FORMAT) as t:
        for name, (content, mode) in sorted(files.items()):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode, entry.mtime = len(content), mode, when
            t.addfile(entry, io.BytesIO(content))
    with open(path, "wb") as out, gzip.GzipFile("", "wb", 9, out, mtime=when) as z:
        z.write(raw.getvalue())


def pack(path, files, when):
    """Writes a zip; a wheel is one too."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as z:
        for name, (content, mode) in files.items():
            entry = zipfile.ZipInfo(name, time.gmtime(when)[:6])
            entry.external_attr, entry.compress_type, entry.create_system = (0o100000 | mode) << 16, zipfile.ZIP_DEFLATED, 3
            z.writestr(entry, content)


def wheel(out, program, platforms, texts, when):
    """Packs a program with its kernelspec: pip puts the one into bin and the other where Jupyter looks."""
    name = program.name.replace("-", "_")
    stem = f"{name}-{VERSION}"
    spec = {
        # Jupyter puts the folder of the kernelspec in: the program is found in whichever environment this lies.
        "argv": [f"{{resource_dir}}/../../../../bin/{program.name}", "kernel", "run", "{connection_file}"],
        "display_name": "Go (kvnotes, CUDA)" if "cuda" in name else "Go (kvnotes)",
        "language": "go", "interrupt_mode": "message", "metadata": {"debugger": False},
    }
    metadata = (
        f"Metadata-Version: 2.3\nName: {program.name}\nVersion: {VERSION}\nSummary: {SUMMARY}\nLicense-Expression: Apache-2.0\n"
        "Requires-Python: >=3.9\nKeywords: jupyter,kernel,go,llm,kv-cache\nProvides-Extra: lab\n"
        "Requires-Dist: jupyterlab>=4.2; extra == 'lab'\nRequires-Dist: ipywidgets>=8.1; extra == 'lab'\n"
        "Description-Content-Type: text/markdown\n\n"
    ).encode() + texts["README.md"]
    kernel = f"{stem}.data/data/share/jupyter/kernels/{program.name}/"
    info = f"{stem}.dist-info/"
    files = {
        f"{stem}.data/scripts/{program.name}": (program.read_bytes(), 0o755),
        kernel + "kernel.json": (json.dumps(spec, indent=2).encode() + b"\n", 0o644),
        kernel + "logo-64x64.png": ((ROOT / "kernel/kvnotes/logo-64x64.png").read_bytes(), 0o644),
        kernel + "echarts.min.js": (texts["echarts.min.js"], 0o644),
        info + "METADATA": (metadata, 0o644),
        info + "WHEEL": (("Wheel-Version: 1.0\nGenerator: kvnotes\nRoot-Is-Purelib: false\n" + "".join(f"Tag: py3-none-{p}\n" for p in platforms.split("."))).encode(), 0o644),
    }
    for name in ("LICENSE", "NOTICE", "THIRD-PARTY-LICENSES.txt"):
        files[f"{info}licenses/{name}"] = (texts[name], 0o644)
    record = "".join(f"{n},sha256={base64.urlsafe_b64encode(hashlib.sha256(c).digest()).decode().rstrip('=')},{len(c)}\n" for n, (c, _) in files.items())
    files[info + "RECORD"] = ((record + f"{info}RECORD,,\n").encode(), 0o644)
    out.mkdir(exist_ok=True)
    pack(out / f"{stem}-py3-none-{platforms}.whl", files, when)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--out", default="dist", type=pathlib.Path)
    parser.add_argument("--echarts", required=True, type=pathlib.Path, help="echarts.min.js")
    parser.add_argument("--only", help="one target, such as linux/amd64")
    parser.add_argument("--cuda", action="store_true", help="the program for NVIDIA cards as well, from the environment of cuda/build.sh env")
    args = parser.parse_args()
    out, when = args.out.resolve(), commit_time()
    out.mkdir(parents=True, exist_ok=True)
    texts = {name: (ROOT / name).read_bytes() for name in ("LICENSE", "NOTICE", "README.md")}
    texts["echarts.min.js"] = args.echarts.read_bytes()
    if not texts["echarts.min.js"]:
        raise SystemExit("releases carry ECharts, and there is none: npm fetches it")
    targets = [(s, p, False) for s, p in TARGETS if args.only in (None, f"{s}/{p}")] + [("linux", "amd64", True)] * args.cuda
    if not targets:
        raise SystemExit(f"--only {args.only}: there is no such target")
    for system, processor, cuda in targets:
        stem = f"kvnotes-{VERSION}-{system}-{processor}" + ("-cuda" if cuda else "")
        print(stem, flush=True)
        work = out / ".work" / stem
        work.mkdir(parents=True, exist_ok=True)
        program = build(system, processor, cuda, work)
        (out / (stem + ".cdx.json")).write_bytes(parts_list(program, when))
        texts["THIRD-PARTY-LICENSES.txt"] = licence_texts(program)
        files = {f"{stem}/{name}": (content, 0o644) for name, content in texts.items()}
        files[f"{stem}/{program.name}"] = (program.read_bytes(), 0o755)
        if system == "windows":
            pack(out / (stem + ".zip"), dict(sorted(files.items())), when)
        else:
            tar(out / (stem + ".tar.gz"), files, when)
            here = said("go", "env", "GOHOSTOS", "GOHOSTARCH").split() == [system, processor]
            wheel(out if here else out / "other", program, CUDA if cuda else TARGETS[system, processor], texts, when)
        program.unlink()
        work.rmdir()
    (out / ".work").rmdir()
    made = sorted(f.relative_to(out) for f in out.rglob("*") if f.is_file() and f.name != "SHA256SUMS")
    (out / "SHA256SUMS").write_text("".join(f"{hashlib.sha256((out / f).read_bytes()).hexdigest()}  {f}\n" for f in made))
    for f in made:
        print(f"{(out / f).stat().st_size / 1e6:6.1f} MB  {f}")


if __name__ == "__main__":
    main()
