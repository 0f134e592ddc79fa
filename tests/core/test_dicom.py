from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ophglm_core import dicom
from ophglm_core.classifier import _laterality
from ophglm_core.dicom import Origin, Tags
from ophglm_core.errors import InputError
from ophglm_core.picture_files import Photograph, open_file

from ..conftest import draw_fundus

pydicom = pytest.importorskip("pydicom")

EYE_8_BIT = "1.2.840.10008.5.1.4.1.1.77.1.5.1"
EYE_16_BIT = "1.2.840.10008.5.1.4.1.1.77.1.5.2"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return np.asarray(draw_fundus((120, 100)))


def dataset(pixels: np.ndarray, **tags: Any) -> Any:
    """A DICOM photograph, uncompressed, of uint8 or uint16 [H, W, 3], [H, W] or frames of these."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import generate_uid

    made = FileDataset("", {}, file_meta=FileMetaDataset(), preamble=bytes(128))
    colour = pixels.shape[-1] == 3
    made.SOPClassUID, made.SOPInstanceUID = EYE_8_BIT, generate_uid()
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    made.file_meta.TransferSyntaxUID = EXPLICIT
    made.Rows, made.Columns = pixels.shape[-3:-1] if colour else pixels.shape[-2:]
    made.SamplesPerPixel = 3 if colour else 1
    made.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        made.PlanarConfiguration = 0
    made.BitsAllocated = made.BitsStored = 8 * pixels.itemsize
    made.HighBit, made.PixelRepresentation = made.BitsStored - 1, 0
    made.PixelData = pixels.tobytes()
    for name, value in tags.items():
        setattr(made, name, value)
    return made


def saved(made: Any, path: Path, syntax: str = EXPLICIT) -> Path:
    if made.file_meta.TransferSyntaxUID.is_compressed:
        made.save_as(path)
    else:
        made.file_meta.TransferSyntaxUID = syntax
        made.save_as(path, implicit_vr=syntax == IMPLICIT, little_endian=True)
    return path


def read(path: Path) -> Photograph:
    with open_file(path) as photograph:
        return replace(photograph, image=photograph.image.copy())


def pixels(path: Path) -> np.ndarray:
    return np.asarray(read(path).image)


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
def test_uncompressed(tmp_path: Path, picture: np.ndarray, syntax: str) -> None:
    assert (pixels(saved(dataset(picture), tmp_path / "a.dcm", syntax)) == picture).all()


@pytest.mark.parametrize(
    "name",
    [
        *("SC_rgb_dcmtk_+eb+cr.dcm", "SC_rgb_dcmtk_+eb+cy+n1.dcm", "SC_rgb_dcmtk_+eb+cy+s4.dcm"),
        *("SC_rgb_gdcm_KY.dcm", "SC_rgb_jls_lossy_line.dcm", "SC_rgb_jls_lossy_sample.dcm"),
        *("SC_rgb_jpeg_dcmtk.dcm", "SC_rgb_rle.dcm", "SC_rgb_rle_16bit_2frame.dcm"),
        *("SC_rgb_small_odd_big_endian.dcm", "SC_ybr_full_422_uncompressed.dcm"),
    ],
)
def test_pydicoms_own_files(name: str) -> None:
    """Bars of colours with their opposites: red, green, blue, ..., black, grey, white."""
    from pydicom.data import get_testdata_file

    got = pixels(Path(str(get_testdata_file(name, download=False)))).reshape(-1, 3)
    assert abs(got.mean() - 128) < 3
    assert got.std(axis=1).max() > 30  # in colour


@pytest.mark.parametrize("syntax", ["1.2.5", "1.2.4.80", "1.2.4.90", "1.2.4.70"])
def test_lossless_syntaxes(tmp_path: Path, picture: np.ndarray, syntax: str) -> None:
    uid = f"1.2.840.10008.{syntax}"
    made = dataset(picture)
    if syntax == "1.2.4.70":
        gdcm = pytest.importorskip("gdcm")
        plain = saved(made, tmp_path / "plain.dcm")
        reader, change, writer = (
            gdcm.ImageReader(),
            gdcm.ImageChangeTransferSyntax(),
            gdcm.ImageWriter(),
        )
        reader.SetFileName(str(plain))
        assert reader.Read()
        change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGLosslessProcess14_1))
        change.SetInput(reader.GetImage())
        assert change.Change()
        writer.SetFileName(str(tmp_path / "a.dcm"))
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        assert writer.Write()
    else:
        made.compress(uid, generate_instance_uid=False)
        saved(made, tmp_path / "a.dcm")
    assert (pixels(tmp_path / "a.dcm") == picture).all()


def test_jpeg_in_ycbcr(tmp_path: Path, picture: np.ndarray) -> None:
    from io import BytesIO

    from pydicom.encaps import encapsulate

    jpeg = BytesIO()
    Image.fromarray(picture).save(jpeg, "JPEG", quality=95)
    made = dataset(picture, PhotometricInterpretation="YBR_FULL_422")
    made.PixelData = encapsulate([jpeg.getvalue()])
    made["PixelData"].VR = "OB"
    made.file_meta.TransferSyntaxUID = pydicom.uid.JPEGBaseline8Bit
    got = pixels(saved(made, tmp_path / "a.dcm"))
    assert np.abs(got.astype(int) - picture).mean() < 3


def test_uncompressed_ycbcr_and_planes(tmp_path: Path, picture: np.ndarray) -> None:
    ycbcr = np.asarray(Image.fromarray(picture).convert("YCbCr"))
    made = dataset(ycbcr, PhotometricInterpretation="YBR_FULL")
    got = pixels(saved(made, tmp_path / "a.dcm"))
    assert np.abs(got.astype(int) - picture).max() <= 3
    made = dataset(picture, PlanarConfiguration=1)
    made.PixelData = picture.transpose(2, 0, 1).tobytes()
    assert (pixels(saved(made, tmp_path / "b.dcm")) == picture).all()


@pytest.mark.parametrize(("stored", "used"), [(16, 16), (16, 12), (12, 12)])
def test_sixteen_bit_by_the_bits_in_use(
    tmp_path: Path, picture: np.ndarray, stored: int, used: int
) -> None:
    made = dataset(
        picture.astype(np.uint16) << (used - 8),
        SOPClassUID=EYE_16_BIT,
        BitsStored=stored,
        HighBit=stored - 1,
    )
    assert (pixels(saved(made, tmp_path / "a.dcm")) == picture).all()


def test_grey_both_ways_and_a_palette(tmp_path: Path, picture: np.ndarray) -> None:
    grey = picture[..., 0]
    one = dataset(
        255 - grey, PhotometricInterpretation="MONOCHROME1", SOPClassUID=SECONDARY_CAPTURE
    )
    for path in (saved(dataset(grey), tmp_path / "2.dcm"), saved(one, tmp_path / "1.dcm")):
        assert (pixels(path) == grey[..., None]).all()
    drawn = draw_fundus((120, 100)).quantize(32)
    made = dataset(np.asarray(drawn), PhotometricInterpretation="PALETTE COLOR")
    table = np.asarray(drawn.getpalette(), np.uint16).reshape(-1, 3) * 257
    for column, name in enumerate(("Red", "Green", "Blue")):
        setattr(made, f"{name}PaletteColorLookupTableDescriptor", [len(table), 0, 16])
        setattr(made, f"{name}PaletteColorLookupTableData", table[:, column].tobytes())
    got = pixels(saved(made, tmp_path / "p.dcm"))
    assert np.abs(got.astype(int) - np.asarray(drawn.convert("RGB"))).max() <= 1


def test_the_first_of_several_frames_is_read_and_that_is_said(
    tmp_path: Path, picture: np.ndarray
) -> None:
    made = dataset(np.stack([picture, 255 - picture]), NumberOfFrames=2)
    photograph = read(saved(made, tmp_path / "a.dcm"))
    assert (np.asarray(photograph.image) == picture).all()
    assert photograph.tags.remark == "Only the first of its 2 frames was read."


def test_patient_and_day(tmp_path: Path, picture: np.ndarray) -> None:
    made = dataset(picture, PatientID=" 0042 ", StudyDate="20200102")
    found = read(saved(made, tmp_path / "a.dcm")).tags
    assert (found.patient, found.acquired) == ("0042", "2020-01-02")
    made.AcquisitionDateTime = "20240503101500.0"
    assert read(saved(made, tmp_path / "a.dcm")).tags.acquired == "2024-05-03"


def anatomy(code: str) -> Any:
    region, modifier = pydicom.Dataset(), pydicom.Dataset()
    modifier.CodeValue = code
    region.AnatomicRegionModifierSequence = [modifier]
    return [region]


def frames(letter: str) -> Any:
    group, part = pydicom.Dataset(), pydicom.Dataset()
    part.FrameLaterality = letter
    group.FrameAnatomySequence = [part]
    return [group]


@pytest.mark.parametrize(
    ("tags", "eye"),
    [
        ({"ImageLaterality": "R"}, "right"),
        ({"ImageLaterality": "L"}, "left"),
        ({"ImageLaterality": "B"}, "both"),
        ({"Laterality": "L"}, "left"),
        ({"AnatomicRegionSequence": anatomy("24028007")}, "right"),
        ({"AnatomicRegionSequence": anatomy("7771000")}, "left"),
        ({"SharedFunctionalGroupsSequence": frames("R")}, "right"),
        ({"ImageLaterality": "R", "AnatomicRegionSequence": anatomy("7771000")}, "both"),
        ({"ImageLaterality": ""}, None),
        ({}, None),
    ],
)
def test_laterality(tmp_path: Path, picture: np.ndarray, tags: Any, eye: str | None) -> None:
    assert read(saved(dataset(picture, **tags), tmp_path / "a.dcm")).tags.laterality == eye


def test_where_a_file_belongs(tmp_path: Path, picture: np.ndarray) -> None:
    tags = {"PatientID": "P1 ", "StudyInstanceUID": "1.2.3", "InstitutionName": "an eye clinic"}
    made = dataset(picture, **tags)
    read_tags = read(saved(made, tmp_path / "a.dcm")).tags
    assert read_tags.patient == "P1"
    assert read_tags.origin == Origin("an eye clinic", "1.2.3", str(made.SOPInstanceUID))
    made.IssuerOfPatientID = "the health service"
    issuer = read(saved(made, tmp_path / "b.dcm")).tags.origin
    assert issuer is not None
    assert issuer.issuer == "the health service"
    draw_fundus((120, 100)).save(tmp_path / "c.png")
    assert read(tmp_path / "c.png").tags.origin is None


def test_tags_go_before_the_name() -> None:
    path = Path("12_left.dcm")
    assert _laterality(path, Tags()) == ("left", None)
    assert _laterality(path, Tags(laterality="left")) == ("left", None)
    eye, remark = _laterality(path, Tags(laterality="right", remark="One frame."))
    assert eye == "right"
    assert remark == "One frame. Its name says left eye, its tags say right."
    assert _laterality(path, Tags(laterality="both"))[0] is None


def test_what_is_no_photograph_is_a_sentence(tmp_path: Path, picture: np.ndarray) -> None:
    path = tmp_path / "a.dcm"
    path.write_bytes(b"hello")
    with pytest.raises(InputError, match="without a picture"):
        read(path)
    saved(dataset(picture, SOPClassUID="1.2.840.10008.5.1.4.1.1.2"), path)
    with pytest.raises(InputError, match="DICOM of the kind CT Image"):
        read(path)
    whole = saved(dataset(picture, Rows=30_000, Columns=30_000), path).read_bytes()
    with pytest.raises(InputError, match="megapixels"):
        read(path)
    saved(dataset(picture), path)
    path.write_bytes(path.read_bytes()[: len(whole) // 2])
    with pytest.raises(InputError, match="cannot be decoded"):
        read(path)


def test_damaged_dicom_is_a_sentence_each(tmp_path: Path, picture: np.ndarray) -> None:
    made = dataset(picture)
    made.compress("1.2.840.10008.1.2.5", generate_instance_uid=False)
    content = saved(made, tmp_path / "a.dcm").read_bytes()
    rng = np.random.default_rng(0)
    sentences: list[str] = []
    for _ in range(60):
        damaged = np.frombuffer(content, np.uint8).copy()
        damaged[rng.integers(128, 1500, 6)] = rng.integers(0, 256, 6)
        (tmp_path / "b.dcm").write_bytes(damaged.tobytes())
        try:
            read(tmp_path / "b.dcm")
        except InputError as error:
            sentences.append(str(error))
    assert sentences
    assert not any("\n" in sentence for sentence in sentences)


def test_a_decoder_that_aborts_takes_nothing_with_it(
    tmp_path: Path, picture: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(dataset(picture), tmp_path / "a.dcm")
    monkeypatch.setattr(dicom, "_GDCM", "import os; os.abort()")
    with pytest.raises(InputError, match="cannot be decoded"):
        dicom.DicomPicture(path, path)._decoded_apart()


def test_without_pydicom_it_is_said(
    tmp_path: Path, picture: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(dataset(picture), tmp_path / "a")
    monkeypatch.setattr(dicom.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'ophglm\[dicom\]'"):
        read(path)
