#!/usr/bin/env python3
"""Writes golden.json and the small tokenizer files beside it, with Hugging Face `tokenizers` 0.23 as the reference.

Run by hand, when a text or a tokenizer is added: python3 tests/engine/tokenizer/make_golden.py
A tokenizer file that is there is kept, as training breaks ties between pairs by chance: delete it to train it again.
The models of ../shared, beside the source root, must be there then; the test skips them where they are absent.

golden.json: every text once, and for every tokenizer the ids and the decoded text of each; ids that repeat are written as
[id, count]. `decoded` is left out where it equals the text, and is `spaced` where it is a space and the text. A bos begins a text of its own: SentencePiece drops one leading
space after it, so the decoded text is that of the parts between bos tokens."""
import json
import os
import random
import struct
import unicodedata

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))

QWEN2 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
         r"|\s+(?!\S)|\s+")
LLAMA3 = QWEN2.replace(r"|\p{N}|", r"|\p{N}{1,3}|")

CORPUS = ["The little fox ran through the garden and it's what they'd seen, isn't it? We'll see, I'm sure you've been.",
          "Once upon a time there was a red ball. Tom and Anna played with the ball in 2024 until 10:35.",
          "int main(void) {\n    return 0;\n}\n\n\tfor (size_t i = 0; i < count; i++)\n\t\tsum += values[i];\n",
          "Élève, où est le café près de la forêt? Grüße aus Köln, schöne Straße. Ação, coração, niño.",
          "Привет, как дела? Ελληνικά. שלום עולם. مرحبا بالعالم. 你好,世界。こんにちは世界。안녕하세요.",
          "aaaa aaaaaaaa 1234567890 123 4567 ... !!! ??? ---- ====  double  spaces   and    more"]

TEXTS = {
    "empty": "",
    "ascii": "The quick brown fox jumps over the lazy dog; 3.14 + x[2] = {y}!",
    "one letter": "x",
    "contractions": "I'm sure they're isn't it's we've she'd he'll 's 't 'x '",
    "contractions upper": "I'M SURE THEY'RE ISN'T IT'S WE'VE SHE'D HE'LL 'S 'T 'LLama",
    "contraction long s": "it'\u017f 'S\u0301",
    "typographic": "it\u2019s \u201cquoted\u201d \u2014 dash\u2026",
    "leading space": " a",
    "leading spaces": "   a",
    "trailing spaces": "a   ",
    "one space": " ",
    "only spaces": "     ",
    "spaces between": "a  b   c    d",
    "tabs": "\ta\t\tb \t c\t ",
    "newlines": "a\nb\n\nc\n\n\nd \n e\n \nf",
    "carriage returns": "a\r\nb\r\n\r\nc\rd\n\r",
    "spaces and newlines": "  \n  \n\n   x \n\n  ",
    "code": "static int f(void)\n{\n\tif (a->b != 0x1F)\n\t\treturn -1;\n}\n",
    "digits": "1 12 123 1234 12345 3.14159 1,000,000 2024-01-31 a1b22c333",
    "other digits": "\u0661\u0662\u0663 \u0967\u0968 \u00b2\u00b3 \u00bd \u2167 \u2460 \uff11\uff12",
    "accents NFC": unicodedata.normalize("NFC", "Crème brûlée à Noël, Ångström, Tiếng Việt"),
    "accents NFD": unicodedata.normalize("NFD", "Crème brûlée à Noël, Ångström, Tiếng Việt"),
    "composition exclusions": "\u0958\u2126\u212b\u0344\ufb1d\uf900\uac00\u1100\u1161\u11a8",
    "compatibility": "\ufb01 \u2460 \u00b5 \uff21 \u3392 \u00a0",
    "combining order": "a\u0323\u0302\u0301 q\u0307\u0323 \u0301\u0300",
    "stacked marks": "Z\u0335\u0321\u0352\u036f\u0338\u0315a\u0334\u0317\u0312l",
    "Greek and Russian": "Ελληνικά και Русский язык, Ёжик",
    "CJK": "你好,世界。日本語のテキスト、カタカナ。한국어 텍스트",
    "rare CJK": "\U00020000\U0002a6d6\u9fff",
    "Arabic": "مرحبا بالعالم، كيف حالك؟ ١٢٣",
    "Arabic marks": "بِسْمِ اللَّهِ",
    "Hebrew": "שָׁלוֹם עולם",
    "Devanagari": "नमस्ते दुनिया क्षत्रिय",
    "Thai": "สวัสดีชาวโลก",
    "emoji": "😀 👍🏽 👨\u200d👩\u200d👧\u200d👦 🏳\ufe0f\u200d🌈 🇫🇷🇯🇵 1\ufe0f\u20e3",
    "odd spaces": "a\u0085b\u00a0c\u1680d\u2003e\u2028f\u2029g\u202fh\u205fi\u3000j",
    "almost spaces": "a\u180eb\u200bc\ufeffd\u2060e\x1cf\x1fg",
    "odd spaces in runs": " \u00a0 \u3000\u3000x \u2028\n y\u180e \u180ez",
    "NUL": "\0",
    "NUL inside": "a\0b \0\0 c",
    "controls": "\x01\x02\x7f\x80\x9f\xad",
    "ends of planes": "\ud7ff\ue000\ufffd\ufffe\uffff\U00010000\U0010ffff",
    "every byte": "".join(map(chr, range(256))),
    "metaspace": "\u2581a \u2581 b\u2581\u2581",
    "byte tokens": "<0x41> <0x0A><0xE2>",
    "byte alphabet": "\u0120the \u010a\u00c3\u00a9",
    "specials": "<|im_start|>user\nHello<|im_end|>\n<|im_start|>",
    "specials around spaces": " <|im_start|>  a <|im_end|> b",
    "specials alone": "<|im_end|>",
    "specials cut": "<|im_start <|im_end| |im_end|> <|im_st",
    "specials overlap": "<|im<|im_start|><|im_start|im_end|>",
    "sentence tokens": "<s> a</s>b<unk>c <s></s> d",
    "story tokens": "<|start_story|> a<|end_story|>b <|bos|>c<|eos|> <|pad|>",
    "stripping": "a  <strip> \n b<strip>c <strip><strip> d\u3000<strip>\u00a0e\u0085<strip>\u2028f\x1f<strip>\u200bg",
    "left and right": "a \t<left> b  <right>  c<left><right> ",
    "normalized": unicodedata.normalize("NFD", "x<nй>y <nй> z") + "<n\u0439> <n\u0439>",
    "letter x 2000": "a" * 2000,
    "two letters x 100": "ab" * 100,
    "spaces x 500": " " * 500 + "x",
    "newlines x 300": "\n" * 300,
    "digits x 100": "0123456789" * 10,
    "marks x 30": "e" + "\u0301" * 30,
    "emoji x 20": "😀" * 20,
}

POOL = ["the", " the", "The", " a", "ing", "'s", "'LL", "'", " ", "  ", "\n", "\r\n", "\t", "7", "42", "2024", "é", "e\u0301",
        "ß", "ſ", "Ж", "世", "界", "ア", "한", "ب", "ש", "\u0301", "\u0323", "\u200d", "\u00a0", "\u3000", "\u0085", "\u2581",
        "😀", "👩", "½", "²", ".", "...", "!", "-", "_", "<", ">", "|", "<|im_end|>", "<s>", "<left>", "<strip>", "\0", "x"]


def texts():
    chance = random.Random(20)
    made = dict(TEXTS)
    for i in range(11):
        made[f"mixed {i}"] = "".join(chance.choice(POOL) for _ in range(chance.randint(3, 28)))
    return made


def added_tokens():
    return [AddedToken("<|im_start|>", special=True, normalized=False), AddedToken("<|im_end|>", special=True, normalized=False),
            AddedToken("<|im", special=False, normalized=False),
            AddedToken("<strip>", special=False, normalized=False, lstrip=True, rstrip=True),
            AddedToken("<left>", special=False, normalized=False, lstrip=True),
            AddedToken("<right>", special=False, normalized=False, rstrip=True),
            AddedToken("<nй>", special=False, normalized=True)]


def byte_level(pre_tokenizer, vocab, change=None):
    """A byte-level BPE with the given split."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=vocab, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
                                  special_tokens=["<|endoftext|>"], show_progress=False)
    tokenizer.train_from_iterator(CORPUS * 4, trainer)
    tokenizer.add_tokens(added_tokens())
    document = json.loads(tokenizer.to_str())
    if change is not None:
        change(document)
    return document


def sentencepiece(normalizer, pre_tokenizer, decoder):
    """A BPE of characters with byte fallback, in the forms that Llama 2 models have in tokenizer.json."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoder
    named = ["<unk>", "<s>", "</s>"]
    trainer = trainers.BpeTrainer(vocab_size=440, limit_alphabet=60, max_token_length=8, show_progress=False,
                                  special_tokens=named + [f"<0x{b:02X}>" for b in range(256)])
    tokenizer.train_from_iterator(CORPUS * 4, trainer)
    tokenizer.add_tokens(added_tokens())
    document = json.loads(tokenizer.to_str())
    document["added_tokens"] = [t for t in document["added_tokens"] if not t["content"].startswith("<0x")]
    document["post_processor"] = template("<s>", 1)
    return document


def template(token, number):
    return {"type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": token, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {token: {"id": token, "ids": [number], "tokens": [token]}}}


def as_llama3(document):
    document["model"]["ignore_merges"] = True
    document["post_processor"] = {"type": "Sequence", "processors": [
        {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True},
        template("<|endoftext|>", 0)]}


def as_qwen2(document):
    document["normalizer"] = {"type": "NFC"}


def as_joined_merges(document):
    """The older form of merges, "a b"."""
    document["model"]["merges"] = [" ".join(pair) for pair in document["model"]["merges"]]


def split_then_bytes(regex):
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(regex), "isolated"),
                                    pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def synthetic():
    gpt2 = pre_tokenizers.ByteLevel(add_prefix_space=False)
    prefixed = pre_tokenizers.ByteLevel(add_prefix_space=True)
    smollm2 = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), gpt2])
    llama2 = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    strip = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(),
                               decoders.Strip(" ", 1, 0)])
    words = pre_tokenizers.Metaspace(replacement="\u2581", prepend_scheme="first", split=True)
    spaces = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace("\u2581", "first", True)])
    return {"gpt2": lambda: byte_level(gpt2, 380, as_joined_merges),
            "prefixed": lambda: byte_level(prefixed, 340),
            "smollm2": lambda: byte_level(smollm2, 380),
            "llama3": lambda: byte_level(split_then_bytes(LLAMA3), 400, as_llama3),
            "qwen2": lambda: byte_level(split_then_bytes(QWEN2), 400, as_qwen2),
            "llama2": lambda: sentencepiece(llama2, None, strip),
            "metaspace": lambda: sentencepiece(None, words, spaces)}


def packed(ids):
    """Ids with runs of three and more as [id, count]."""
    out, i = [], 0
    while i < len(ids):
        n = 1
        while i + n < len(ids) and ids[i + n] == ids[i]:
            n += 1
        out += [[ids[i], n]] if n > 2 else [ids[i]] * n
        i += n
    return out


def parts(ids, bos):
    out = [[]]
    for i in ids:
        if i == bos:
            out.append([])
        else:
            out[-1].append(i)
    return out


def case(name, text, ids, decoded):
    made = {"text": name, "ids": packed(ids)}
    if decoded == " " + text:
        made["spaced"] = True
    elif decoded != text:
        made["decoded"] = decoded
    return made


def cases_of_json(path, bos_name):
    tokenizer = Tokenizer.from_file(path)
    bos = tokenizer.token_to_id(bos_name)
    special = {t["id"] for t in json.load(open(path, encoding="utf-8"))["added_tokens"] if t["special"]} - {bos}
    out = []
    for name, text in texts().items():
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        shown = parts([i for i in ids if i not in special], bos)
        out.append(case(name, text, ids, "".join(tokenizer.decode(part, skip_special_tokens=False) for part in shown)))
    return tokenizer.get_vocab_size(), out


def encode_llama2c(pieces, text):
    """llama2.c, run.c, encode: bos, a space before a text that is not empty, characters, then the best merge first."""
    number = {piece: i for i, (_, piece) in enumerate(pieces)}
    ids = []
    for c in " " + text if text else "":
        found = number.get(c.encode())
        ids += [found] if found is not None else [byte + 3 for byte in c.encode()]
    while True:
        best = None
        for i, (a, b) in enumerate(zip(ids, ids[1:])):
            joined = number.get(pieces[a][1] + pieces[b][1])
            if joined is not None and (best is None or pieces[joined][0] > best[0]):
                best = pieces[joined][0], i, joined
        if best is None:
            return [1] + ids
        ids[best[1]:best[1] + 2] = [best[2]]


def cases_of_llama2c(path):
    buffer, at, pieces = open(path, "rb").read(), 4, []
    while at < len(buffer):
        score, size = struct.unpack_from("<fi", buffer, at)
        pieces.append((score, buffer[at + 8:at + 8 + size]))
        at += 8 + size
    return len(pieces), [case(name, text, encode_llama2c(pieces, text), text) for name, text in texts().items()]


def splits():
    """Every behaviour of Split and the other pre-tokenizers, without a vocabulary."""
    out = []
    lines = ["", "a-b--c", "--a--", "-", "a", "-a-b---c-", "ab 12 3a", "  two  spaces "]
    for behavior in ["isolated", "removed", "merged_with_previous", "merged_with_next", "contiguous"]:
        for invert in [False, True]:
            for pattern in ["-", Regex("-+"), Regex(r"[a-z]|\s\s")]:
                out.append((pre_tokenizers.Split(pattern, behavior, invert), lines))
    for pattern in ["^a", "a$", "a.b", r"[\s-]+", r"[^\s]+", r"\S+", r"[\S]\d+", r"\\s", r"(?i:AB)"]:
        out.append((pre_tokenizers.Split(Regex(pattern), "isolated"), ["a\na b\\s\na\n", "a-b\u180e c\u0085\u00a0d1\u0661\u00bd", "abaB"]))
    for individual in [False, True]:
        out.append((pre_tokenizers.Digits(individual), ["12a3", "١٢½Ⅷx²", "", "9"]))
    for scheme in ["always", "first", "never"]:
        for split in [False, True]:
            out.append((pre_tokenizers.Metaspace("\u2581", scheme, split), ["a b", " a  b ", "", " ", "\u2581a", "  "]))
    out.append((pre_tokenizers.Sequence([pre_tokenizers.Split("b", "isolated"), pre_tokenizers.Metaspace("\u2581", "first", True)]),
                ["a b a", "bab b", " b"]))
    out.append((pre_tokenizers.Sequence([pre_tokenizers.Split("b", "isolated"), pre_tokenizers.Metaspace("\u2581", "always", True)]),
                ["a b a", "bab b", " b"]))
    names = ["contractions", "spaces between", "tabs", "newlines", "carriage returns", "spaces and newlines", "digits",
             "other digits", "accents NFD", "typographic", "CJK", "Arabic marks", "emoji", "odd spaces", "almost spaces",
             "odd spaces in runs", "controls"]
    some = [TEXTS[name] for name in names]
    out += [(pre_tokenizers.ByteLevel(add_prefix_space=prefix, use_regex=True), some) for prefix in [False, True]]
    out += [(pre_tokenizers.Split(Regex(regex), "isolated"), some) for regex in [QWEN2, LLAMA3]]
    return [{"pre_tokenizer": json.loads(p.__getstate__()),
             "cases": [[text] + words_of(p, text) for text in some]} for p, some in out]


def words_of(pre_tokenizer, text):
    """The words as they are in the text: ByteLevel writes them in its alphabet."""
    words = [word for word, _ in pre_tokenizer.pre_tokenize_str(text)]
    if not isinstance(pre_tokenizer, pre_tokenizers.ByteLevel):
        return words
    plain = [b for b in range(256) if 0x21 <= b <= 0x7e or 0xa1 <= b <= 0xff and b != 0xad]
    other = [b for b in range(256) if b not in plain]
    undo = {chr(b): b for b in plain} | {chr(0x100 + i): b for i, b in enumerate(other)}
    return [bytes(undo[c] for c in word).decode() for word in words]


def normal_forms():
    made = [normalizers.NFC(), normalizers.NFD(), normalizers.NFKC(), normalizers.NFKD(), normalizers.Prepend("\u2581"),
            normalizers.Replace("aa", "b"), normalizers.Replace(" ", ""),
            normalizers.Sequence([normalizers.NFD(), normalizers.Prepend("x"), normalizers.Replace("\u0301", "'")])]
    names = ["empty", "accents NFC", "accents NFD", "composition exclusions", "compatibility", "combining order", "stacked marks",
             "Arabic marks", "Hebrew", "spaces between", "NUL inside"]
    some = [TEXTS[name] for name in names] + ["aaaaa"]
    return [{"normalizer": json.loads(n.__getstate__()), "cases": [[text, n.normalize_str(text)] for text in some]} for n in made]


def lossy():
    """Broken UTF-8 and what a decoder that writes U+FFFD for each maximal part makes of it."""
    made = ["", "61", "80", "c0 80", "c1 bf", "c2", "c2 41", "e2 82", "e2 82 41", "e2 28 a1", "e0 80 80", "e0 9f bf", "ed a0 80",
            "ed 9f bf", "f0 80 80 80", "f0 90 80", "f0 90 80 41", "f0 9f 98 80", "f4 8f bf bf", "f4 90 80 80", "f5 80 80 80", "ff",
            "fe fe ff ff", "61 f1 80 80 e1 80 c2 62 80 63 80 bf 64", "f0 9f f0 9f 98 80", "e2 e2 82 ac", "c3 a9 c3", "f8 88 80 80 80"]
    return [{"bytes": m, "text": bytes.fromhex(m).decode("utf-8", "replace")} for m in made]


def main():
    tokenizers = []

    def add(path, made):
        tokenizers.append({"path": path, "vocabulary": made[0], "cases": made[1]})

    for name, train in synthetic().items():
        path = os.path.join("tests/engine/tokenizer", name + ".json")
        if not os.path.exists(os.path.join(ROOT, path)):
            with open(os.path.join(ROOT, path), "w", encoding="utf-8") as f:
                json.dump(train(), f, ensure_ascii=False, separators=(",", ":"))
                f.write("\n")
        add(path, cases_of_json(os.path.join(ROOT, path), "<s>"))
    add("models/keeper", cases_of_json(os.path.join(ROOT, "models/keeper/tokenizer.json"), "<|bos|>"))
    path = "../shared/models/tinystories-656k"
    add(path, cases_of_json(os.path.join(ROOT, path, "tokenizer.json"), "<|start_story|>"))
    path = "../shared/models/stories260K/tok512.bin"
    add(path, cases_of_llama2c(os.path.join(ROOT, path)))
    with open(os.path.join(HERE, "golden.json"), "w", encoding="utf-8") as f:
        json.dump({"texts": texts(), "tokenizers": tokenizers, "splits": splits(), "normal_forms": normal_forms(),
                   "lossy": lossy()}, f, ensure_ascii=False, separators=(",", ":"))
        f.write("\n")


if __name__ == "__main__":
    main()
