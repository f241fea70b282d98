"""Writes small.gguf, one tensor for each way of packing, and small.safetensors, the numbers that the Python gguf package reads from it.
usage: python make_small.py   (numpy, gguf, safetensors)"""
import gguf
import numpy as np
from gguf.quants import dequantize
from safetensors.numpy import save_file

rng = np.random.default_rng(1)
w = gguf.GGUFWriter("small.gguf", "test")
w.add_array("a.list", ["x", "y"])
w.add_float32("a.float", 0.5)
w.add_bool("a.bool", True)
want = {}
T = gguf.GGMLQuantizationType
for kind in (T.F32, T.F16, T.BF16, T.Q4_0, T.Q4_1, T.Q8_0, T.Q4_K, T.Q5_K, T.Q6_K):
    numbers, size = gguf.GGML_QUANT_SIZES[kind]
    cols = 256
    raw = rng.integers(0, 256, (3, cols // numbers * size), dtype=np.uint8)
    if kind == T.F32:
        raw = rng.standard_normal((3, cols)).astype(np.float32)
    elif kind == T.F16:
        raw = rng.standard_normal((3, cols)).astype(np.float16)
    elif kind == T.BF16:
        raw = (rng.standard_normal((3, cols)).astype(np.float32).view(np.uint32) >> 16).astype(np.uint16).view(np.uint8).reshape(3, -1)
    else:  # scales that are numbers of ordinary size
        for block in raw.reshape(-1, size):
            for at in {T.Q4_0: [0], T.Q4_1: [0, 2], T.Q8_0: [0], T.Q4_K: [0, 2], T.Q5_K: [0, 2], T.Q6_K: [208]}[kind]:
                block[at : at + 2] = np.array([rng.uniform(-0.1, 0.1)], np.float16).view(np.uint8)
    w.add_tensor(kind.name, raw, raw_dtype=None if kind in (T.F32, T.F16) else kind)
    want[kind.name] = dequantize(raw, kind).astype(np.float32).reshape(3, cols)
w.write_header_to_file()
w.write_kv_data_to_file()
w.write_tensors_to_file()
w.close()
save_file(want, "small.safetensors")
