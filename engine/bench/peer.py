"""The peer: the model of `bench-engine`, written plainly in PyTorch, measured on the CPU.

Llama: RMSNorm, rotary positions, grouped-query attention by
`torch.nn.functional.scaled_dot_product_attention`, SwiGLU, a head of its own. Every step is what
a PyTorch user would write for speed without leaving eager mode: fused AdamW, queries, keys and
values in one matrix, a preallocated key-value cache, no gradients where none are needed. Of the
ways tried to decode and to sample, these were the fastest.

`python peer.py train|prefill|generate THREADS SECONDS` prints one line of JSON.
"""

import json
import resource
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

VOCAB, HIDDEN, LAYERS, HEADS, KEY_HEADS, HEAD, FF = 512, 192, 6, 6, 2, 32, 512
POSITIONS = 512
TRAIN_ROWS, TRAIN_LENGTH = 32, 128
ROWS, PROMPT, NEW = 64, 8, 96


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1 = nn.RMSNorm(HIDDEN, eps=1e-5)
        self.qkv = nn.Linear(HIDDEN, (HEADS + 2 * KEY_HEADS) * HEAD, bias=False)
        self.out = nn.Linear(HEADS * HEAD, HIDDEN, bias=False)
        self.norm2 = nn.RMSNorm(HIDDEN, eps=1e-5)
        self.gate_up = nn.Linear(HIDDEN, 2 * FF, bias=False)
        self.down = nn.Linear(FF, HIDDEN, bias=False)

    def forward(self, x, rope, cache=None, start=0):
        rows, length, _ = x.shape
        qkv = self.qkv(self.norm1(x)).view(rows, length, HEADS + 2 * KEY_HEADS, HEAD)
        qkv = qkv.transpose(1, 2)
        turned, v = qkv.split([HEADS + KEY_HEADS, KEY_HEADS], dim=1)
        q, k = rotate(turned, rope).split([HEADS, KEY_HEADS], dim=1)
        if cache is not None:
            cache[0][:, :, start : start + length] = k
            cache[1][:, :, start : start + length] = v
            k, v = (part[:, :, : start + length] for part in cache)
        x = x + self.out(attend(q, k, v).transpose(1, 2).reshape(rows, length, HEADS * HEAD))
        gate, up = self.gate_up(self.norm2(x)).chunk(2, dim=-1)
        return x + self.down(F.silu(gate) * up)


def attend(q, k, v):
    rows, heads, length, width = q.shape
    if length > 1:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
    # One query a sequence: the queries that share a key head are rows of one product, which is
    # faster than the fused function.
    q = q.view(rows, KEY_HEADS, heads // KEY_HEADS, width)
    scores = torch.matmul(q, k.transpose(-1, -2)) * width**-0.5
    return torch.matmul(torch.softmax(scores, dim=-1), v).view(rows, heads, 1, width)


def rotate(x, rope):
    cosine, sine = rope
    first, second = x.chunk(2, dim=-1)
    turned = torch.cat((-second, first), dim=-1)
    return x * cosine + turned * sine


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(VOCAB, HIDDEN)
        nn.init.normal_(self.embedding.weight, std=0.02)
        self.blocks = nn.ModuleList(Block() for _ in range(LAYERS))
        self.norm = nn.RMSNorm(HIDDEN, eps=1e-5)
        self.head = nn.Linear(HIDDEN, VOCAB, bias=False)
        frequency = 10_000.0 ** (-torch.arange(0, HEAD, 2, dtype=torch.float32) / HEAD)
        angle = torch.outer(torch.arange(POSITIONS, dtype=torch.float32), frequency)
        angle = torch.cat((angle, angle), dim=-1)
        self.register_buffer("cosine", angle.cos())
        self.register_buffer("sine", angle.sin())

    def forward(self, tokens, caches=None, start=0):
        end = start + tokens.shape[1]
        rope = (self.cosine[start:end], self.sine[start:end])
        x = self.embedding(tokens)
        for index, block in enumerate(self.blocks):
            x = block(x, rope, caches[index] if caches else None, start)
        hidden = self.norm(x)
        return hidden, self.head(hidden)


def tokens(rows, length):
    index = torch.arange(rows * length)
    return ((index * 7919 + index // 13) % VOCAB).view(rows, length)


def train(model):
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.0, fused=True)
    run = tokens(TRAIN_ROWS, TRAIN_LENGTH + 1)
    inputs, targets = run[:, :-1].contiguous(), run[:, 1:].reshape(-1)

    def step():
        optimiser.zero_grad(set_to_none=True)
        _, logits = model(inputs)
        loss = F.cross_entropy(logits.view(-1, VOCAB), targets)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()

    return step, TRAIN_ROWS * TRAIN_LENGTH


def prefill(model):
    inputs = tokens(ROWS, NEW)

    @torch.inference_mode()
    def step():
        return model(inputs)

    return step, ROWS * NEW


def generate(model):
    prompts = tokens(ROWS, PROMPT)

    @torch.inference_mode()
    def step():
        shape = (ROWS, KEY_HEADS, PROMPT + NEW, HEAD)
        caches = [(torch.empty(shape), torch.empty(shape)) for _ in range(LAYERS)]
        drawn, fed, start = [], prompts, 0
        for _ in range(NEW):
            _, logits = model(fed, caches, start)
            start += fed.shape[1]
            probabilities = torch.softmax(logits[:, -1], dim=-1)
            # A race of exponential variates, several times faster than torch.multinomial.
            race = torch.empty_like(probabilities).exponential_()
            fed = (probabilities / race).argmax(dim=-1, keepdim=True)
            drawn.append(fed)
        return torch.cat(drawn, dim=1)

    return step, ROWS * NEW


def main():
    kind, threads, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    model = Model()
    step, count = {"train": train, "prefill": prefill, "generate": generate}[kind](model)
    step()
    step()
    wall, cpu, end = float("inf"), float("inf"), time.monotonic() + seconds
    rounds = 0
    while rounds < 3 or time.monotonic() < end:
        wall_start, cpu_start = time.perf_counter(), time.process_time()
        step()
        wall = min(wall, time.perf_counter() - wall_start)
        cpu = min(cpu, time.process_time() - cpu_start)
        rounds += 1
    report = {
        "wall_tokens_per_second": count / wall,
        "cpu_tokens_per_second": count / cpu,
        "memory_kib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        "memory_before_kib": before,
        "parameters": sum(p.numel() for p in model.parameters()),
        "version": f"PyTorch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}",
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
