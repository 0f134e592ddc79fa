"""The model card of a model folder, written from its manifest."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from .labels import BY_KEY, LABELS
from .modelfolder import MANIFEST, Calibration, Manifest, ModelFolder, written_folder

_LIMITS = """\
## What it must not be used for

- Not for clinical use: no regulator has cleared or approved it, and software that reads images is
  a medical device in the EU, the USA and China whatever it says of itself. It is a research
  assistant; a clinician must review every image.
- Not to exclude disease. It looks for five conditions; vessel occlusions, detachment, tumours,
  hypertensive retinopathy and everything else are outside of it. A hazy picture hides the retina.
- Not for the emergency: symptoms (sudden loss of vision, curtain, flashes, painful red eye, injury)
  count more than a normal photograph.
- Not for a decision that a photograph cannot carry: it gives no eye pressure, visual field, angle,
  macular thickness or acuity, and a glaucoma suspicion from a disc alone is weak.
- Not outside the population and cameras below without measuring again (`ophglm evaluate`).
"""


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write `ophglm.json` and the model card that tells of it into a model folder."""
    (folder / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
    write_card(folder, manifest)


def write_card(folder: Path, manifest: Manifest) -> None:
    """Write `README.md` into a model folder."""
    (folder / "README.md").write_text(card(manifest), encoding="utf-8")


def keep_figures(model: ModelFolder) -> None:
    """Write a folder's manifest, as it now is in memory, and its model card."""
    with written_folder(model.path) as folder:
        write_manifest(folder, model.manifest)


def card(manifest: Manifest) -> str:
    """Return the model card as Markdown."""
    encoder = manifest.encoder
    sections = [
        f"# {manifest.name}\n",
        _what(manifest),
        "## What it is\n",
        f"- Network: `{encoder.architecture}` (timm) at {encoder.input_size} px on the square "
        "around the retina's disc; six sigmoid outputs.\n"
        f"- Files: `encoder.safetensors` (torch) and `encoder.onnx` (ONNX Runtime), fp16; their "
        f"logits differ by at most {manifest.metrics.get('onnx_difference', 0):.0e}.\n",
        _training(manifest.training),
        _results(manifest),
        _fusion(manifest),
        _adapter(manifest),
        _LIMITS,
    ]
    return "\n".join(section for section in sections if section)


def _what(manifest: Manifest) -> str:
    parts = ["an image encoder for colour fundus photographs with calibration and thresholds"]
    if manifest.fusion:
        parts.append("a fusion module, by which the language model sees the photograph")
    if manifest.adapter:
        parts.append("an adapter, by which it speaks of it")
    name, package = manifest.llm.get("name", "none"), manifest.llm.get("package")
    where = f" from the Python package {package}" if package else ""
    text = "; ".join(parts)
    return (
        f"{text[:1].upper()}{text[1:]}. The language model is {name}{where} and not in this "
        "folder.\n"
    )


def _training(training: dict[str, Any]) -> str:
    if not training:
        return ""
    lines = ["## What it was trained on\n"]
    for data in training["data"]:
        counts = ", ".join(f"{k} {v}" for k, v in data["labels"].items())
        lines.append(
            f"- `{data['name']}`: {data['photographs']} photographs of {data['patients']} "
            f"patients ({counts})"
        )
    lines += [f"- {note}" for note in training.get("notes", [])]
    split, schedule = training["split"], training["schedule"]
    lines.append(
        f"- Split by patient (hash of id, seed {split['seed']}): {split['validation']:.0%} "
        f"validation, {split['test']:.0%} test, the rest training. Pictures whose labels are not "
        "all known only train."
    )
    lines.append(
        f"- Start: {training['initialisation']}; teacher: {training['teacher'] or 'none'}; "
        + ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in schedule.items())
        + f"; best epoch {training['best_epoch']}, {training['seconds'] / 60:.0f} min."
    )
    if training.get("command"):
        lines.append(f"\n```\n{training['command']}\n```")
    return "\n".join(lines) + "\n"


def _results(manifest: Manifest) -> str:
    metrics = manifest.metrics
    if not metrics:
        return ""
    spans = metrics["intervals"]
    away = metrics["turned_away"]
    auc = _figure(metrics["macro"]["auc"], spans["macro"]["auc"])
    lines = [
        "## How well it does\n",
        f"On the {metrics['photographs']} photographs of {metrics['patients']} {metrics['part']} "
        f"patients that could be graded ({away['ungradable']} were turned away), through "
        "`encoder.onnx`; in brackets 95 % bootstrap intervals over patients.\n",
        f"**Macro AUC over the five diseases: {auc}**; ODIR score {_figure(metrics['odir'])}.\n",
        "| condition | AUC | sensitivity | specificity | threshold | calibration error |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for label in LABELS:
        figures, span = metrics["labels"][label], spans["labels"][label]
        threshold = manifest.calibration.get(label, Calibration()).threshold
        cells = [_figure(figures[n], span[n]) for n in ("auc", "sensitivity", "specificity")]
        cells += [f"{threshold:.3f}", _figure(figures["ece"], span["ece"])]
        lines.append(f"| {BY_KEY[label].name} | {' | '.join(cells)} |")
    lines.append(
        f"\nProbabilities are Platt-scaled and thresholds set at a sensitivity of "
        f"{manifest.operating_point:.2f}, both on the validation patients. The figures come from "
        f"`ophglm evaluate MODEL DATA --part {metrics['part']}`.\n"
    )
    return "\n".join(lines)


def _fusion(manifest: Manifest) -> str:
    fusion = manifest.fusion
    if not fusion:
        return ""
    network, training = fusion["network"], fusion["training"]
    kind = (
        f"{network['rows']} learned queries, {network['layers']} layers of width "
        f"{network['width']}, attend to the encoder's {network['places']} image tokens and the "
        "question's words"
        if network["kind"] == "queries"
        else "OphGLM's published one: pooled image and [CLS], six linear layers, one row"
    )
    questions = ", ".join(f"{n} {part}" for part, n in training["questions"].items())
    lines = [
        "## The fusion module\n",
        f"- {kind[:1].upper()}{kind[1:]}; text encoder {fusion['text_encoder']} (int8). Files: "
        "`fusion.safetensors`, `fusion.onnx` (fp16), `text_encoder.onnx`, `tokenizer.json`.",
        f"- Trained on {training['samples']} questions an epoch of `{training['vqa']}` "
        f"({questions}), first the closed-answer head ({training['head_epochs']} epochs), then "
        f"with the frozen language model; best epoch {training['best_epoch']} of "
        f"{training['epochs']}, {training['seconds'] / 60:.0f} min.",
        *[f"- {note}" for note in fusion.get("notes", [])],
    ]
    parity = fusion.get("parity", {})
    if "rows" in parity:
        lines.append(
            f"- Torch against local runtime on {parity['prompts']} prompts: rows differ by at most "
            f"{parity['rows']:.0e} of their size, next-token logits correlate "
            f"{parity['correlation']:.5f}, the first token is the same on "
            f"{parity['same_first_token']:.0%}; with llama.cpp's weights quantised as in use "
            f"{parity['quantised_correlation']:.4f} and "
            f"{parity['quantised_same_first_token']:.0%}."
        )
    commands = [t["command"] for t in (*training.get("before", []), training) if t.get("command")]
    if commands:
        lines.append("\n```\n" + "\n".join(commands) + "\n```")
    lines += _vqa(fusion.get("metrics"))
    return "\n".join(lines) + "\n"


def _vqa(metrics: dict[str, Any] | None) -> list[str]:
    if not metrics:
        return []
    columns = ("photograph", "nothing", "findings", "shuffled")
    lines = [
        f"\nAnswers of the language model to {metrics['questions']} questions about "
        f"{metrics['part']} patients, exact match / F1, by what it was given: the photograph "
        "through the fusion module, nothing, the classifier's findings as text, another patient's "
        "photograph.\n",
        "| question | n | photograph | nothing | findings | another's |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for kind, row in metrics["kinds"].items():
        cells = [f"{row[c]['exact']:.2f} / {row[c]['f1']:.2f}" for c in columns]
        lines.append(f"| {kind} | {row['questions']['count']:.0f} | {' | '.join(cells)} |")
    lines += [
        "\nYes or no to the presence of a condition, balanced accuracy; the encoder's own at its "
        "thresholds beside it.\n",
        "| condition | n | photograph | nothing | findings | another's | encoder |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for disease, row in metrics["presence"].items():
        cells = [f"{row[c]:.3f}" for c in (*columns, "encoder")]
        name = BY_KEY[disease].name if disease in BY_KEY else disease
        lines.append(f"| {name} | {row['questions']:.0f} | {' | '.join(cells)} |")
    return lines


def _adapter(manifest: Manifest) -> str:
    adapter = manifest.adapter
    if not adapter:
        return ""
    training = adapter["training"]
    texts = ", ".join(f"{k} {v}" for k, v in training["texts"].items())
    best = training["history"][training["best_epoch"] - 1]
    lines = [
        "## The adapter\n",
        f"- LoRA of rank {adapter['rank']}, alpha {adapter['alpha']} on all linear layers. Files: "
        "`adapter/` (peft), `adapter.gguf` (llama.cpp), fp16.",
        f"- Texts: {texts}; paired by label with {training['photographs']} photographs as training "
        f"ran, {training['text_share']:.0%} without one; {training['samples']} samples an epoch, "
        f"best epoch {training['best_epoch']} of {training['epochs']}, "
        f"{training['seconds'] / 60:.0f} min, {training['tokens_per_second']} tokens a second, "
        f"{training['memory_gib']} GiB.",
        f"- Held-out texts: loss a token {training['held_out_loss_before']:.3f} before, "
        f"{best['held_out_loss']:.3f} after (perplexity "
        f"{math.exp(training['held_out_loss_before']):.2f} and {best['perplexity']:.2f}).",
    ]
    parity = adapter.get("parity")
    if parity:
        lines.append(
            f"- Torch against llama.cpp with the adapter on: next-token logits correlate "
            f"{parity['correlation']:.5f}, the first token is the same on "
            f"{parity['same_first_token']:.0%} of {parity['prompts']} prompts."
        )
    if training.get("command"):
        lines.append(f"\n```\n{training['command']}\n```")
    lines += _texts(adapter.get("metrics"))
    return "\n".join(lines) + "\n"


def _texts(metrics: dict[str, Any] | None) -> list[str]:
    if not metrics:
        return []
    told = {
        "names_found": "names the condition that was found",
        "names_other": "names one neither found nor asked about",
        "certain": "states a disease as certain",
        "repeats": "repeats itself",
        "cut_off": "ends in mid-sentence",
    }
    lines = [
        f"\nAnswers of the language model alone (the assistant checks each sentence besides) to "
        f"{metrics['prompts']} held-out questions:\n",
        "| share of answers that | before | after |",
        "| --- | --- | --- |",
    ]
    for name, words in told.items():
        lines.append(f"| {words} | {metrics['before'][name]:.2f} | {metrics['after'][name]:.2f} |")
    lines.append("\nSide by side:\n")
    for pair in metrics["pairs"]:
        lines.append(f"- **{pair['question']}**")
        for when in ("before", "after"):
            lines.append(f"  - {when}: {' '.join(pair[when].split())}")
    return lines


def _figure(value: float | None, span: list[float] | None = None) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" + (f" ({span[0]:.3f} to {span[1]:.3f})" if span else "")
