"""A second engine: Llama in PyTorch, for `cairn calibrate` and the adversaries' honest controls.

`python torch_worker.py float32|bfloat16 THREADS` speaks the protocol of the crate `engine-worker`
over standard input and output. It draws nothing: it is given tokens and returns logits and last
hidden states, so the seeded draw stays where it is specified. It is written as a PyTorch user
would write it, with the library's own products, softmax and precision, and shares no code with
the exact engine.
"""

import ctypes
import json
import struct
import sys

import torch
import torch.nn.functional as F

LOAD, BEGIN, STEP = 0, 1, 2


class Model:
    def __init__(self, path, dtype):
        with open(path, "rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(length))
            data = bytearray(file.read())
        config = json.loads(header.pop("__metadata__")["config"])
        self.dtype = dtype
        self.weights = {}
        for name, entry in header.items():
            begin, end = entry["data_offsets"]
            flat = torch.frombuffer(data, dtype=torch.float32, count=(end - begin) // 4, offset=begin)
            self.weights[name] = flat.view(entry["shape"]).to(dtype)
        self.layers = config["num_hidden_layers"]
        self.heads = config["num_attention_heads"]
        self.key_heads = config["num_key_value_heads"]
        self.width = config["head_dim"]
        self.eps = config["rms_norm_eps"]
        self.vocab = config["vocab_size"]
        self.hidden = config["hidden_size"]
        positions = config["max_position_embeddings"]
        frequency = config["rope_theta"] ** (-torch.arange(0, self.width, 2).float() / self.width)
        angle = torch.outer(torch.arange(positions).float(), frequency)
        angle = torch.cat((angle, angle), dim=-1)
        self.cosine, self.sine = angle.cos().to(dtype), angle.sin().to(dtype)
        self.caches, self.start = None, 0

    def norm(self, x, name):
        wide = x.float()
        wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.eps)
        return self.weights[name] * wide.to(self.dtype)

    def rotate(self, x, length):
        cosine = self.cosine[self.start : self.start + length]
        sine = self.sine[self.start : self.start + length]
        first, second = x.chunk(2, dim=-1)
        return x * cosine + torch.cat((-second, first), dim=-1) * sine

    def attention(self, x, layer):
        rows, length, _ = x.shape
        prefix = f"model.layers.{layer}.self_attn."

        def project(name, heads):
            out = F.linear(x, self.weights[f"{prefix}{name}_proj.weight"])
            return out.view(rows, length, heads, self.width).transpose(1, 2)

        q = self.rotate(project("q", self.heads), length)
        k = self.rotate(project("k", self.key_heads), length)
        v = project("v", self.key_heads)
        if self.caches[layer] is not None:
            k = torch.cat((self.caches[layer][0], k), dim=2)
            v = torch.cat((self.caches[layer][1], v), dim=2)
        self.caches[layer] = (k, v)
        causal = length > 1
        out = F.scaled_dot_product_attention(q, k, v, is_causal=causal, enable_gqa=True)
        out = out.transpose(1, 2).reshape(rows, length, self.heads * self.width)
        return F.linear(out, self.weights[f"{prefix}o_proj.weight"])

    def mlp(self, x, layer):
        prefix = f"model.layers.{layer}.mlp."
        gate = F.linear(x, self.weights[f"{prefix}gate_proj.weight"])
        up = F.linear(x, self.weights[f"{prefix}up_proj.weight"])
        return F.linear(F.silu(gate) * up, self.weights[f"{prefix}down_proj.weight"])

    def forward(self, tokens):
        x = F.embedding(tokens, self.weights["model.embed_tokens.weight"])
        for layer in range(self.layers):
            prefix = f"model.layers.{layer}."
            x = x + self.attention(self.norm(x, f"{prefix}input_layernorm.weight"), layer)
            x = x + self.mlp(self.norm(x, f"{prefix}post_attention_layernorm.weight"), layer)
        hidden = self.norm(x, "model.norm.weight")
        self.start += tokens.shape[1]
        embedding = self.weights["model.embed_tokens.weight"]
        head = self.weights.get("lm_head.weight", embedding)
        return F.linear(hidden[:, -1], head).float(), hidden.float()


def raw(tensor):
    tensor = tensor.contiguous()
    return ctypes.string_at(tensor.data_ptr(), tensor.numel() * tensor.element_size())


def answer(*parts):
    sys.stdout.buffer.write(struct.pack("<I", sum(map(len, parts))))
    for part in parts:
        sys.stdout.buffer.write(part)
    sys.stdout.buffer.flush()


@torch.inference_mode()
def main():
    dtype = {"float32": torch.float32, "bfloat16": torch.bfloat16}[sys.argv[1]]
    torch.set_num_threads(int(sys.argv[2]))
    model = None
    while head := sys.stdin.buffer.read(5):
        length, kind = struct.unpack("<IB", head)
        body = bytearray(sys.stdin.buffer.read(length))
        if kind == LOAD:
            model = Model(body.decode(), dtype)
            capability = torch.backends.cpu.get_cpu_capability()
            answer(f"PyTorch {torch.__version__} {sys.argv[1]} CPU {capability}".encode())
            continue
        rows, columns = struct.unpack_from("<II", body)
        tokens = torch.frombuffer(body, dtype=torch.int32, offset=8).view(rows, columns).long()
        if kind == BEGIN:
            model.caches, model.start = [None] * model.layers, 0
        logits, hidden = model.forward(tokens)
        answer(raw(logits), raw(hidden))


if __name__ == "__main__":
    main()
