"""Makes blocks.safetensors: random blocks of every GGUF type and their values by gguf-py.

Made with gguf 0.19.0: python engine/tests/golden/make_blocks.py
"""

from pathlib import Path

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType as Type
from gguf.quants import dequantize
from safetensors.numpy import save_file

BLOCKS_COUNT = 4
# Byte positions of the binary16 scales in a block, which must be finite.
SCALES = {
    Type.F16: [0],
    Type.Q4_0: [0],
    Type.Q4_1: [0, 2],
    Type.Q5_0: [0],
    Type.Q5_1: [0, 2],
    Type.Q8_0: [0],
    Type.Q4_K: [0, 2],
    Type.Q5_K: [0, 2],
    Type.Q6_K: [208],
}

if __name__ == "__main__":
    generator = np.random.default_rng(1)
    arrays = {}
    for kind, scales in SCALES.items():
        _, size = GGML_QUANT_SIZES[kind]
        blocks = generator.integers(0, 256, (BLOCKS_COUNT, size), dtype=np.uint8)
        for at in scales:
            halves = generator.normal(0, 0.1, BLOCKS_COUNT).astype(np.float16)
            blocks[:, at : at + 2] = halves.view(np.uint8).reshape(BLOCKS_COUNT, 2)
        arrays[kind.name + ".blocks"] = blocks
        arrays[kind.name + ".values"] = dequantize(blocks, kind).astype(np.float32)
    save_file(arrays, Path(__file__).parent / "blocks.safetensors")
