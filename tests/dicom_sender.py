"""A DICOM sender (C-ECHO and C-STORE) through pynetdicom, for tests of what listens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

EXPLICIT = "1.2.840.10008.1.2.1"
VERIFICATION = "1.2.840.10008.1.1"
EYE_8_BIT = "1.2.840.10008.5.1.4.1.1.77.1.5.1"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


@contextmanager
def association(address: tuple[str, int], aet: str = "OPHGLM") -> Iterator[Any]:
    """Give an association for photographs, uncompressed; it may have been refused."""
    from pynetdicom import AE

    entity = AE("CAMERA")
    entity.add_requested_context(VERIFICATION)
    for kind in (EYE_8_BIT, SECONDARY_CAPTURE):
        entity.add_requested_context(kind, EXPLICIT)
    made = entity.associate(*address, ae_title=aet)
    try:
        yield made
    finally:
        if made.is_established:
            made.release()


def store(address: tuple[str, int], *instances: Any) -> list[int]:
    """Send instances and return the answers' status."""
    with association(address) as made:
        return [made.send_c_store(instance).Status for instance in instances]
