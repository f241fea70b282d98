"""Write small files in the formats of the methods' authors, and what they hold, with real PyTorch, PEFT and numpy.

    python3 make_files.py OUT
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM

L, H, K, D, W, O, S = 2, 4, 2, 3, 6, 4, 5  # layers, heads, KV heads, channels, width, gate size, base keys
torch.manual_seed(0)
out = Path(sys.argv[1])


def folder(name, tensors):
    (out / name).mkdir(parents=True, exist_ok=True)
    save_file({k: v.contiguous() for k, v in tensors.items()}, out / name / "model.safetensors")


def affine(rows, cols, name):
    return {f"{name}.weight": torch.randn(rows, cols), f"{name}.bias": torch.randn(rows)}


expected = {}
filters = torch.randn(L, K, D).bfloat16()
folder("qfilter", {"q_filters": filters})
expected["q_filters"] = filters.float().flatten().tolist()
mean, cov = torch.randn(L, H, D), torch.randn(L, H, D, D)
folder("stats", {"query_mean": mean, "query_cov": cov})
expected["query_cov"] = cov.flatten().tolist()
linear = {k: v for i in range(L) for k, v in affine(K, W, f"layers.{i}").items()}
folder("kvzap_linear", linear)
mlp = {k: v for i in range(L) for k, v in (affine(5, W, f"layers.{i}.0") | affine(K, 5, f"layers.{i}.2")).items()}
folder("kvzap_mlp", mlp)
expected["kvzap_last_bias"] = mlp["layers.1.2.bias"].tolist()
np.save(out / "curve.npy", np.arange(99 * L * K, dtype=np.float64).reshape(99, L, K) / 1000)
(out / "duo").mkdir(exist_ok=True)
(out / "duo" / "config.json").write_text(json.dumps({"sink_size": 64, "recent_size": 256, "model": "x"}))
(out / "duo" / "full_attention_heads.tsv").write_text("0.5\t1.25\n-0.1\t0.75\n")
gates = []
for _ in range(L):
    gates.append(
        {
            "q_proj.weight": torch.randn(H * O, W), "q_proj.bias": torch.randn(H * O), "k_proj.weight": torch.randn(K * O, W),
            "q_norm.weight": torch.randn(O), "k_norm.weight": torch.randn(O), "k_base": torch.randn(K, 1, S, O), "b": torch.randn(K, 1, H // K),
        }
    )  # fmt: skip
gates = [{k: v.bfloat16() for k, v in g.items()} for g in gates]
torch.save({"module": gates, "loss": np.float64(0.5), "step": 10, "names": ["a", "b"]}, out / "gates.pt")
expected["k_base"] = gates[1]["k_base"].float().flatten().tolist()
expected["b"] = gates[0]["b"].float().flatten().tolist()

(out / "restorekv").mkdir(exist_ok=True)
config = LlamaConfig(hidden_size=8, intermediate_size=12, num_hidden_layers=L, num_attention_heads=2, num_key_value_heads=1, vocab_size=11)
lora = LoraConfig(r=2, lora_alpha=6, target_modules=["q_proj", "v_proj", "down_proj"], task_type="CAUSAL_LM", init_lora_weights=False)
model = get_peft_model(LlamaForCausalLM(config), lora)
model.save_pretrained(out / "restorekv")
(out / "restorekv" / "README.md").unlink()
save_file({"restore_embeddings": torch.randn(3, 8).bfloat16()}, out / "restorekv" / "restore_embeddings.safetensors")
for name, p in model.named_parameters():
    if name.endswith("layers.1.mlp.down_proj.lora_A.default.weight"):
        expected["lora_down"] = p.flatten().tolist()
    if name.endswith("layers.1.mlp.down_proj.lora_B.default.weight"):
        expected["lora_up"] = (p * 3).flatten().tolist()
(out / "expected.json").write_text(json.dumps(expected) + "\n")
