"""Tiny random models of each family of decoders, each with a small tokenizer and a chat template
that does what the family's own does to turns, system messages and thinking."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch

WIDTH, LAYERS, HEADS, KEY_HEADS, HEAD_WIDTH, INNER = 64, 2, 4, 2, 16, 128
_WORDS = (
    "What is glaucoma? It is a disease of the optic nerve. The retina, the lens and the eye. "
    "You help eye doctors. Explain in two to four short plain sentences. Never give a diagnosis. "
)


@dataclass(frozen=True)
class Family:
    """model_type, config: of transformers. end: the token that ends a turn. ends: all that end what
    is generated. special: the other special tokens. metaspace: whether a word has its blank before
    it, as SentencePiece has it."""

    name: str
    model_type: str
    template: str
    end: str
    special: tuple[str, ...]
    bos: str | None = None
    eos: str | None = None
    ends: tuple[str, ...] = ()
    metaspace: bool = False
    config: dict[str, Any] = field(default_factory=dict)


_IM = ("<|endoftext|>", "<|im_start|>")

QWEN25 = (
    "{%- if messages[0]['role'] != 'system' %}{{- '<|im_start|>system\\nYou are Qwen, created by "
    "Alibaba Cloud. You are a helpful assistant.<|im_end|>\\n' }}{%- endif %}"
    "{%- for message in messages %}{{- '<|im_start|>' + message.role + '\\n' + message.content "
    "+ '<|im_end|>\\n' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
)
# Only what stands behind the last question has its thoughts, empty ones included.
QWEN3 = (
    "{%- set ns = namespace(last=messages|length - 1) %}"
    "{%- for message in messages %}{%- if message.role == 'user' %}{%- set ns.last = loop.index0 %}"
    "{%- endif %}{%- endfor %}"
    "{%- for message in messages %}{%- set content = message.content %}"
    "{%- if message.role == 'assistant' %}{%- set thoughts = '' %}"
    "{%- if '</think>' in content %}"
    "{%- set thoughts = content.split('</think>')[0].split('<think>')[-1].strip('\\n') %}"
    "{%- set content = content.split('</think>')[-1].lstrip('\\n') %}{%- endif %}"
    "{{- '<|im_start|>assistant\\n' }}"
    "{%- if loop.index0 > ns.last and (loop.last or thoughts) %}"
    "{{- '<think>\\n' + thoughts + '\\n</think>\\n\\n' + content.lstrip('\\n') }}"
    "{%- else %}{{- content }}{%- endif %}{{- '<|im_end|>\\n' }}"
    "{%- else %}{{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>\\n' }}"
    "{%- endif %}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}"
    "{%- if enable_thinking is defined and enable_thinking is false %}"
    "{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}{%- endif %}"
)
# The whole of a turn, its opening included, is marked as generated.
SMOLLM3 = (
    "{%- for message in messages %}{%- if message.role == 'assistant' %}{% generation %}"
    "{{- '<|im_start|>assistant\\n<think>\\n\\n</think>\\n' + message.content.lstrip('\\n') "
    "+ '<|im_end|>\\n' }}{% endgeneration %}"
    "{%- else %}{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}"
    "{%- endif %}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}"
    "{%- if not enable_thinking %}{{- '<think>\\n\\n</think>\\n' }}{%- endif %}{%- endif %}"
)
SMOLLM2 = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\\nYou are a helpful AI assistant named SmolLM, trained by Hugging "
    "Face<|im_end|>\\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\\n' + "
    "message['content'] + '<|im_end|>' + '\\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
# Without a prompt for an answer, the end of the text is put behind the last turn.
PHI3 = (
    "{% for message in messages %}{{'<|' + message['role'] + '|>\\n' + message['content'] + "
    "'<|end|>\\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% else %}{{ eos_token }}{% endif %}"
)
# The system message stands in the last question, and nowhere behind an answer.
MISTRAL = (
    "{%- if messages[0]['role'] == 'system' %}{%- set system = messages[0]['content'] %}"
    "{%- set turns = messages[1:] %}{%- else %}{%- set turns = messages %}{%- endif %}"
    "{%- for message in turns %}{%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{- raise_exception('Conversation roles must alternate.') }}{%- endif %}{%- endfor %}"
    "{{- bos_token }}{%- for message in turns %}{%- if message['role'] == 'user' %}"
    "{%- if loop.last and system is defined %}"
    "{{- '[INST] ' + system + '\\n\\n' + message['content'] + '[/INST]' }}"
    "{%- else %}{{- '[INST] ' + message['content'] + '[/INST]' }}{%- endif %}"
    "{%- else %}{{- ' ' + message['content']|trim + eos_token }}{%- endif %}{%- endfor %}"
)
# No turn has an end of its own: the next question's mark is one.
GLM4 = (
    "[gMASK]<sop>{% for item in messages %}"
    "{% if item['role'] == 'system' %}<|system|>\n{{ item['content'] }}"
    "{% elif item['role'] == 'user' %}<|user|>\n{{ item['content'] }}"
    "{% else %}<|assistant|>\n{{ item['content'] }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
LLAMA3 = (
    "{% for message in messages %}{% set content = '<|start_header_id|>' + message['role'] + "
    "'<|end_header_id|>\\n\\n' + message['content'] | trim + '<|eot_id|>' %}"
    "{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}"
    "{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"
)
_GEMMA_TURNS = (
    "{%% for message in %s %%}"
    "{%% if (message['role'] == 'user') != (loop.index0 %% 2 == 0) %%}"
    "{{ raise_exception('Conversation roles must alternate') }}{%% endif %%}"
    "{%% set role = 'model' if message['role'] == 'assistant' else message['role'] %%}"
    "{{ '<start_of_turn>' + role + '\\n' + %s (message['content'] | trim) + '<end_of_turn>\\n' }}"
    "{%% endfor %%}{%% if add_generation_prompt %%}{{'<start_of_turn>model\\n'}}{%% endif %%}"
)
GEMMA2 = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}"
    "{{ raise_exception('System role not supported') }}{% endif %}"
    + _GEMMA_TURNS
    % ("messages", "")
)
GEMMA3 = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}"
    "{% set first = messages[0]['content'] + '\\n\\n' %}{% set turns = messages[1:] %}"
    "{% else %}{% set first = '' %}{% set turns = messages %}{% endif %}"
    + _GEMMA_TURNS
    % ("turns", "(first if loop.first else '') +")
)

# transformers takes the head's width of these from no GGUF, so it is that of the real ones.
_GEMMA = {"head_dim": 256, "query_pre_attn_scalar": 256, "tie_word_embeddings": True}
_QWEN3 = {"head_dim": 128}

FAMILIES = {
    family.name: family
    for family in (
        Family("SmolLM2", "llama", SMOLLM2, "<|im_end|>", _IM, "<|im_start|>", "<|im_end|>"),
        Family("SmolLM3", "smollm3", SMOLLM3, "<|im_end|>", _IM, None, "<|im_end|>"),
        Family(
            "Llama 3",
            "llama",
            LLAMA3,
            "<|eot_id|>",
            ("<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>"),
            "<|begin_of_text|>",
            "<|eot_id|>",
        ),
        Family("Mistral v0.3", "mistral", MISTRAL, "</s>", ("[INST]", "[/INST]"), "<s>", "</s>"),
        Family("Qwen2.5", "qwen2", QWEN25, "<|im_end|>", _IM, None, "<|im_end|>"),
        Family("Qwen3", "qwen3", QWEN3, "<|im_end|>", (*_IM, "<think>", "</think>"), None,
               "<|im_end|>", config=_QWEN3),
        Family(
            "Phi-3",
            "phi3",
            PHI3,
            "<|end|>",
            ("<|system|>", "<|user|>", "<|assistant|>"),
            "<s>",
            "<|endoftext|>",
            ("<|endoftext|>", "<|end|>"),
        ),
        Family(
            "GLM-4",
            "glm4",
            GLM4,
            "<|user|>",
            ("[gMASK]", "<sop>", "<|system|>", "<|assistant|>", "<|observation|>"),
            None,
            "<|endoftext|>",
            ("<|endoftext|>", "<|user|>", "<|observation|>"),
            config={"partial_rotary_factor": 0.5},
        ),
        Family("Gemma 2", "gemma2", GEMMA2, "<end_of_turn>", ("<start_of_turn>",), "<bos>", "<eos>",
               ("<eos>", "<end_of_turn>"), config=_GEMMA),
        Family("Gemma 3", "gemma3_text", GEMMA3, "<end_of_turn>", ("<start_of_turn>",), "<bos>",
               "<eos>", ("<eos>", "<end_of_turn>"), config=_GEMMA),
    )
}  # fmt: skip
#: The same words in pieces as SentencePiece makes them, which no GGUF is written of here.
SENTENCEPIECE = replace(FAMILIES["Mistral v0.3"], name="SentencePiece", metaspace=True)
_ALL = {**FAMILIES, SENTENCEPIECE.name: SENTENCEPIECE}


@cache
def tokenizer_of(name: str) -> Any:
    """Return a family's small tokenizer: bytes, a few merges and its special tokens."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    family = _ALL[name]
    special = dict.fromkeys(
        token for token in ("<unk>", family.bos, family.eos, family.end, *family.special) if token
    )
    raw = Tokenizer(models.BPE(unk_token="<unk>"))
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    if family.metaspace:
        # As the families' own: a word has its blank before it, and a text begins with one.
        raw.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
        raw.decoder = decoders.Metaspace(prepend_scheme="first", split=False)
        alphabet = sorted({*map(chr, range(32, 127)), "\n", "▁", *"等一下。"})
    else:
        raw.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(r"\p{N}"), "isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
            ]
        )
        raw.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=len(special) + len(alphabet) + 64,
        special_tokens=list(special),
        initial_alphabet=alphabet,
        show_progress=False,
    )
    raw.train_from_iterator([_WORDS], trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, bos_token=family.bos, eos_token=family.eos, unk_token="<unk>"
    )
    tokenizer.chat_template = family.template
    return tokenizer


def write_family(name: str, folder: Path, seed: int = 0) -> Path:
    """Write a family's tiny random model in Hugging Face's form; return its folder."""
    from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig

    family, tokenizer = _ALL[name], tokenizer_of(name)
    ids = tokenizer.convert_tokens_to_ids
    config = AutoConfig.for_model(
        family.model_type,
        hidden_size=WIDTH,
        intermediate_size=INNER,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=KEY_HEADS,
        vocab_size=len(tokenizer),
        max_position_embeddings=2048,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=0,
        **{"tie_word_embeddings": False, "head_dim": HEAD_WIDTH, **family.config},
    )
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:  # as large as a trained model's, or all tokens would look alike
                weight.normal_(std=weight.shape[1] ** -0.5)
    model.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=[ids(token) for token in family.ends or (family.end,)],
        pad_token_id=0,
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def write_trained_family(name: str, folder: Path, seed: int = 0) -> Path:
    """Write a family's tiny model as if it had been trained, in bf16 as models are published."""
    from ophglm_core.networks.language_model import TorchLanguageModel

    plain = TorchLanguageModel(str(write_family(name, folder)), torch.device("cpu"))
    generator = torch.Generator().manual_seed(seed)
    for key, parameter in plain.model.named_parameters():
        if key.endswith("norm.weight"):
            parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
    plain.model.to(torch.bfloat16).save_pretrained(str(folder))
    return folder
