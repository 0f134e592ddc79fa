"""Which photographs are measured, what is said of it, and the report."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from ophglm_core.errors import InputError, UsageError
from ophglm_core.evaluation import classification
from ophglm_core.evaluation.classification import Evaluation, evaluate_classifier
from ophglm_core.evaluation.report import report_html
from ophglm_core.findings import Findings, positive_labels
from ophglm_core.manifest import EncoderInfo, Head, Manifest
from ophglm_core.model_folder import ModelFolder


class FakeClassifier:
    """Is sure of the label that a file's name starts with, and of no other."""

    def __init__(self, model: ModelFolder):
        self.model = model
        self.thresholds = dict.fromkeys(model.labels, 0.5)
        self.referable: float | None = None
        self.rule_out: float | None = None

    def classify(self, pictures: Iterable[Path]) -> Iterator[Findings]:
        for path in pictures:
            if path.stem.startswith("dark"):
                yield Findings(str(path), "ungradable", "-")
                continue
            values = {
                label: 0.9 if path.stem.startswith(label) else 0.1 for label in self.model.labels
            }
            yield Findings(str(path), "ok", "-", values, positive_labels(values, self.thresholds))


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModelFolder:
    monkeypatch.setattr(classification, "Classifier", FakeClassifier)
    head = Head("conditions", "multi_label", ["normal", "dr", "<toy>"])
    training = {
        "data": [{"name": "clinic"}],
        "split": {"validation": 0.2, "test": 0.4, "seed": 0},
    }
    encoder = EncoderInfo("-", 32, 1, "0" * 64)
    manifest = Manifest("m", encoder, [head], own_labels=["<toy>"], training=training)
    return ModelFolder(tmp_path / "m", manifest)


def make_set(folder: Path, patients: int = 20) -> Path:
    """Make a set: a photograph a patient that the classifier calls rightly, one that it misses, and
    one that is too dark."""
    folder.mkdir()
    lines = ["image,patient,normal,dr,<toy>,keywords"]
    for number in range(patients):
        label = ("normal", "dr", "<toy>")[number % 3]
        name = f"{label}_{number}.png"
        lines.append(
            f"{name},{number},{int(label == 'normal')},{int(label == 'dr')},"
            f"{int(label == '<toy>')},"
        )
        Image.new("RGB", (8, 8), (number, 0, 0)).save(folder / name)
    lines += ["<b>.jpg,b,0,1,0,mild & <i>sic</i>", "dark.png,d,1,0,0,"]
    Image.new("RGB", (300, 300), (200, 90, 40)).save(folder / "<b>.jpg")
    Image.new("RGB", (8, 8), (0, 0, 1)).save(folder / "dark.png")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.fixture
def evaluation(model: ModelFolder, tmp_path: Path) -> Evaluation:
    return evaluate_classifier(model, [make_set(tmp_path / "other_clinic")], rounds=5)


def test_the_metrics_are_of_the_models_labels(evaluation: Evaluation) -> None:
    metrics = evaluation.metrics
    assert list(metrics) == [
        "model",
        "excluded",
        "thresholds",
        "rule_out",
        "referable_threshold",
        "photographs",
        "patients",
        "positives",
        "labels",
        "macro",
        "odir",
        "any_disease",
        "confidence_intervals",
        "confusion",
        "grade_confusion",
        "sources",
    ]
    assert metrics["sources"] == {}  # it is one
    assert metrics["model"] == "m@00000000"
    assert (metrics["photographs"], metrics["patients"]) == (21, 21)
    assert metrics["excluded"] == {"ungradable": 1, "error": 0}
    assert list(metrics["labels"]) == list(evaluation.labels) == ["normal", "dr", "<toy>"]
    assert metrics["labels"]["<toy>"]["auc"] == 1
    assert metrics["labels"]["dr"]["sensitivity"] == 7 / 8
    assert metrics["confusion"]["dr"]["none"] == 1
    # All but the one that is missed.
    assert metrics["any_disease"] == {"sensitivity": 13 / 14, "specificity": 1.0}
    # Seven or eight positives have a figure, but no interval, and no place in a mean.
    assert metrics["macro"]["auc"] is None
    assert metrics["confidence_intervals"]["macro"]["auc"] is None
    assert metrics["confidence_intervals"]["labels"]["dr"]["auc"] is None
    assert len(metrics["confidence_intervals"]["labels"]["dr"]["specificity"]) == 2


def test_ten_positives_are_enough_for_an_interval_and_a_place_in_the_mean(
    model: ModelFolder, tmp_path: Path
) -> None:
    # 14 normal, 14 dr besides the one that is missed, 13 of its own.
    metrics = evaluate_classifier(model, [make_set(tmp_path / "clinic", 41)], rounds=5).metrics
    assert metrics["positives"] == {"normal": 14, "dr": 15, "<toy>": 13}
    mean = (metrics["labels"]["dr"]["auc"] + metrics["labels"]["<toy>"]["auc"]) / 2
    assert metrics["macro"]["auc"] == pytest.approx(mean)
    assert len(metrics["confidence_intervals"]["macro"]["auc"]) == 2
    assert len(metrics["confidence_intervals"]["labels"]["dr"]["auc"]) == 2


def test_each_source_is_measured_alone_and_grades_where_the_model_gives_them(
    model: ModelFolder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Grading(FakeClassifier):
        """Is right about each grade, which the file's name ends with, but for the fourth."""

        def __init__(self, model: ModelFolder):
            super().__init__(model)
            self.referable = 0.5

        def classify(self, pictures: Iterable[Path]) -> Iterator[Findings]:
            for found in super().classify(pictures):
                grade = int(Path(found.image).stem[-1]) if "g_" in found.image else 0
                called = 0 if grade == 4 else grade
                chances = tuple(float(g == called) for g in range(5))
                yield replace(found, grade=called, grade_probabilities=chances)

    monkeypatch.setattr(classification, "Classifier", Grading)
    graded = tmp_path / "graded"
    graded.mkdir()
    lines = ["image,dr_grade"]
    for number in range(10):
        name = f"g_{number}_{number % 5}.png"
        Image.new("RGB", (8, 8)).save(graded / name)
        lines.append(f"{name},{number % 5}")
    (graded / "labels.csv").write_text("\n".join(lines) + "\n")
    metrics = evaluate_classifier(
        model, [make_set(tmp_path / "other_clinic"), graded], rounds=5
    ).metrics
    clinic, eyes = metrics["sources"]["other_clinic"], metrics["sources"]["graded"]
    assert (clinic["photographs"], eyes["photographs"]) == (21, 10)
    assert clinic["excluded"] == {"ungradable": 1, "error": 0}
    assert eyes["excluded"] == {"ungradable": 0, "error": 0}
    assert clinic["positives"] == {"normal": 7, "dr": 8, "<toy>": 6}
    assert eyes["grade"]["exact"] == 0.8
    assert eyes["grade"]["referable_sensitivity"] == pytest.approx(4 / 6)
    assert eyes["grade"]["kappa"] < 0.5
    assert metrics["grade_confusion"][4][0] == 2
    assert metrics["confidence_intervals"]["grade"]["exact"][0] < 0.9
    assert eyes["labels"]["<toy>"]["auc"] is None


def test_a_part_is_the_patients_of_the_models_own_split(model: ModelFolder, tmp_path: Path) -> None:
    data = [make_set(tmp_path / "clinic")]
    remarks: list[str] = []
    steps: list[tuple[int, int]] = []
    everything = evaluate_classifier(model, data, rounds=2, remark=remarks.append)
    assert len(remarks) == 1
    assert "trained on photographs of a set by this name" in remarks[0]
    parts = [
        evaluate_classifier(
            model, data, part, 2, lambda *step: steps.append(step), remark=remarks.append
        )
        for part in ("train", "validation", "test")
    ]
    patients = [{r.patient for r in part.records} for part in parts]
    assert set.union(*patients) == {r.patient for r in everything.records}
    assert sum(map(len, patients)) == len(everything.records)
    assert len(remarks) == 1
    assert (1, steps[0][1]) == steps[0]
    assert steps[-1][0] == steps[-1][1]

    model.manifest.training.clear()
    whole = evaluate_classifier(model, data, "test", 2, remark=remarks.append)
    assert len(whole.records) == len(everything.records)
    assert "no split" in remarks[-1]


def test_what_cannot_be_measured_is_said_in_a_sentence(model: ModelFolder, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'tests' is not one of all, train, validation, test"):
        evaluate_classifier(model, [tmp_path], "tests")
    folder = tmp_path / "holes"
    folder.mkdir()
    Image.new("RGB", (8, 8)).save(folder / "a.png")
    (folder / "labels.csv").write_text("image,hole\na.png,1\n")
    with pytest.raises(InputError, match="it labels hole, and the model gives normal, dr, <toy>"):
        evaluate_classifier(model, [folder])
    model.manifest.training["split"] = {"validation": 0.0, "test": 0.0, "seed": 0}
    with pytest.raises(InputError, match="is in part test"):
        evaluate_classifier(model, [make_set(tmp_path / "clinic")], "test")


def test_the_report_shows_names_and_keywords_as_they_are(evaluation: Evaluation) -> None:
    html = report_html(evaluation)
    assert "&lt;b&gt;.jpg: shown, not called, 0.10 (mild &amp; &lt;i&gt;sic&lt;/i&gt;)" in html
    assert 'alt="&lt;b&gt;.jpg"' in html
    for raw in ("<b>", "<i>", "<toy>"):
        assert raw not in html
    assert "&amp;lt;" not in html  # once, not twice
    assert "mean over the diseases" in html
    assert "five" not in html
    assert "21 photographs of 21 patients; excluded: 1 ungradable, 0 unreadable." in html
    assert "<td>&lt;toy&gt; ?</td>" in html  # it has six positives
    assert "? of fewer than 10 positives" in html
    assert html.count("data:image/jpeg;base64,") == 1
    assert html.count("data:image/png;base64,") == 1
    assert 'src="http' not in html
