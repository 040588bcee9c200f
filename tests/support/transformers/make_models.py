"""Makes the small models beside it as transformers writes them, each with the logits that transformers computes for one sequence.

    python3 tests/support/transformers/make_models.py tests/support/transformers

Needs torch, transformers and tokenizers. Beside each: a text to calibrate on. Weights are random, but gains lie far from 1, biases and means far from 0: what a reader forgets shows.
The logits are those of the stored model, computed in float32.
"""
import json
import pathlib
import sys

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import GPT2Config, GPT2LMHeadModel, Qwen2Config, Qwen2ForCausalLM

MERGES = ["Ġ t", "h e", "Ġ a", "i n", "Ġt he", "o n", "Ġ s", "r e", "n d", "Ġ w", "Ġ b", "e r", "a t", "i s", "Ġa nd", "in g", "o u", "Ġ o", "Ġ h",
          "i t", "e d", "Ġ m", "o r", "Ġ d", "l l", "Ġ c", "Ġ l", "a r", "Ġ p", "o m", "Ġ he"]
END = "<|endoftext|>"
LENGTH = 20
QWEN2_SPLIT = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def tokenizer(split):
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [tuple(m.split()) for m in MERGES]
    vocabulary = {piece: i for i, piece in enumerate(alphabet + ["".join(m) for m in merges])}
    ret = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    ret.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    if split:
        from tokenizers import Regex
        ret.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(split), behavior="isolated"),
                                                     pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    ret.decoder = decoders.ByteLevel()
    ret.add_special_tokens([END])
    return ret


def fill(model, generator):
    """Gains of 0.4 to 2, biases of half a unit, matrices whose entries do not average to zero."""
    for name, p in model.named_parameters():
        noise = torch.randn(p.shape, generator=generator)
        norm = "norm" in name or ".ln_" in name
        if norm and name.endswith("weight"):
            value = 0.4 + 1.6 * torch.rand(p.shape, generator=generator)
        elif name.endswith("bias"):
            value = 0.5 * noise + 0.2
        elif "embed" in name or "wte" in name or "wpe" in name:
            value = 0.3 * noise + 0.2
        elif "c_proj" in name or "o_proj" in name or "down_proj" in name:
            value = 0.15 * noise + 0.05
        else:
            value = 0.16 * noise + 0.01
        p.data.copy_(value)


def text(seed):
    """Words of random letters and of the merges: what a prompt of such words shows has been seen."""
    generator = torch.Generator().manual_seed(seed)
    pieces = [m.replace(" ", "").replace("\u0120", "") for m in MERGES] + list("abcdefghijklmnopqrstuvwxyz")

    def word():
        return "".join(pieces[int(i)] for i in torch.randint(0, len(pieces), (int(torch.randint(1, 5, (1,), generator=generator)),), generator=generator))
    return " ".join(word() for _ in range(400)) + "\n"


def write(place, model, stored, split, seed):
    generator = torch.Generator().manual_seed(seed)
    fill(model, generator)
    model.to(stored)
    model.save_pretrained(place)
    words = tokenizer(split)
    words.save(str(place / "tokenizer.json"))
    (place / "calibration.txt").write_text(text(seed))
    tokens = torch.randint(0, words.get_vocab_size() - 1, (LENGTH,), generator=generator)
    model = type(model).from_pretrained(place, dtype=torch.float32).eval()
    with torch.no_grad():
        logits = model(tokens[None]).logits[0]
    (place / "expected.json").write_text(json.dumps({"tokens": tokens.tolist(), "logits": [[float(f"{v:.7g}") for v in row] for row in logits.tolist()]},
                                                    separators=(",", ":")) + "\n")


out = pathlib.Path(sys.argv[1])
vocab = 256 + len(MERGES) + 1
write(out / "gpt2", GPT2LMHeadModel(GPT2Config(vocab_size=vocab, n_positions=64, n_embd=48, n_layer=2, n_head=4, n_inner=96, bos_token_id=vocab - 1,
                                               eos_token_id=vocab - 1)), torch.float16, None, 1)
write(out / "qwen2", Qwen2ForCausalLM(Qwen2Config(vocab_size=vocab, hidden_size=48, intermediate_size=80, num_hidden_layers=2, num_attention_heads=4,
                                                  num_key_value_heads=2, max_position_embeddings=128, tie_word_embeddings=True, bos_token_id=None,
                                                  eos_token_id=vocab - 1)), torch.bfloat16, QWEN2_SPLIT, 2)
