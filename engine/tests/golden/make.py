"""Makes the golden files of engine/tests/transformers.rs with Hugging Face `transformers`.

Each case is a directory as `save_pretrained` writes it (config.json, weights in one file or in
several) beside `expected.safetensors`: tokens, last hidden states, logits, the mean next-token
cross-entropy and its gradients, all f32, as `transformers` computes them on a CPU. Gains and
biases are random, so that leaving one out shows.

Made with transformers 5.23.0 and torch 2.6.0:

    python engine/tests/golden/make.py
"""

from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file
from transformers import LlamaConfig, Qwen2Config, Qwen3Config

SIZES = {
    "vocab_size": 48,
    "hidden_size": 24,
    "intermediate_size": 36,
    "num_hidden_layers": 2,
    "max_position_embeddings": 64,
    "attn_implementation": "eager",
}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
SCALES = {"embed_tokens": 0.5, "lm_head": 0.3, "bias": 0.5, "norm": 0.3}


def heads(query, key, **more):
    return {"num_attention_heads": query, "num_key_value_heads": key, **more}


def theta(base):
    return {"rope_parameters": {"rope_type": "default", "rope_theta": base}}


F32, BF16 = torch.float32, torch.bfloat16
WHOLE, SPLIT = "1GB", "12KB"
TIED = {"tie_word_embeddings": True}
CASES = {
    "llama-tied": (LlamaConfig, heads(4, 2, **TIED, **theta(500.0)), F32, WHOLE),
    "llama-scaled": (LlamaConfig, heads(3, 1, rope_parameters=LLAMA3), F32, WHOLE),
    "llama-bf16": (LlamaConfig, heads(6, 3, **TIED, rms_norm_eps=1e-2), BF16, WHOLE),
    "qwen2-split": (Qwen2Config, heads(4, 2, **theta(1e6)), F32, SPLIT),
    "qwen2-tied": (Qwen2Config, heads(2, 1, **TIED), BF16, WHOLE),
    "qwen3-tied": (Qwen3Config, heads(4, 2, head_dim=10, **TIED), F32, WHOLE),
    "qwen3-split": (Qwen3Config, heads(3, 1, head_dim=4, **theta(1e6)), BF16, SPLIT),
}


def randomise(model, generator):
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        scale = next((s for part, s in SCALES.items() if part in name), parameter.shape[-1] ** -0.5)
        parameter.data = noise * scale + (1.0 if "norm" in name else 0.0)


def write(name, config_class, settings, dtype, shard):
    here = Path(__file__).parent / name
    generator = torch.Generator().manual_seed(sum(name.encode()))
    config = config_class(**SIZES, **settings)
    kind = getattr(transformers, config_class.__name__.replace("Config", "ForCausalLM"))
    model = kind(config)
    randomise(model, generator)
    model.to(dtype).save_pretrained(here, max_shard_size=shard)
    (here / "generation_config.json").unlink(missing_ok=True)

    model = kind.from_pretrained(here, dtype=F32, attn_implementation="eager")
    tokens = torch.randint(0, SIZES["vocab_size"], (2, 40), generator=generator)
    output = model(tokens, labels=tokens)
    output.loss.backward()
    expected = {
        "tokens": tokens.to(torch.int32),
        "hidden": model.model(tokens).last_hidden_state.detach(),
        "logits": output.logits.detach(),
        "loss": output.loss.detach(),
    }
    for parameter_name, parameter in model.named_parameters():
        expected["gradient." + parameter_name] = parameter.grad
    expected = {key: value.contiguous() for key, value in expected.items()}
    save_file(expected, here / "expected.safetensors")


if __name__ == "__main__":
    torch.set_num_threads(1)
    for name, case in CASES.items():
        write(name, *case)
