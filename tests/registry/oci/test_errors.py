"""The error table is the specification's."""

import pickle

import pytest

from registry.oci import errors

# distribution-spec, "Error Codes"
CODES = {
    *("BLOB_UNKNOWN", "BLOB_UPLOAD_INVALID", "BLOB_UPLOAD_UNKNOWN", "DIGEST_INVALID", "MANIFEST_BLOB_UNKNOWN"),
    *("MANIFEST_INVALID", "MANIFEST_UNKNOWN", "NAME_INVALID", "NAME_UNKNOWN", "SIZE_INVALID", "UNAUTHORIZED"),
    *("DENIED", "UNSUPPORTED", "TOOMANYREQUESTS"),
}
ALL = errors.OCIError.__subclasses__()
OF_REQUESTS = (errors.RangeNotSatisfiable, errors.Unauthorized, errors.UploadOutOfOrder)


@pytest.mark.parametrize("kind", ALL)
def test_every_refusal_has_a_code_of_the_specification_and_a_client_status(kind: type[errors.OCIError]) -> None:
    assert kind.code in CODES
    assert 400 <= kind.status < 500
    assert kind.message


@pytest.mark.parametrize("kind", [kind for kind in ALL if kind not in OF_REQUESTS])
def test_a_refusal_survives_the_way_from_another_process(kind: type[errors.OCIError]) -> None:
    back = pickle.loads(pickle.dumps(kind("detail")))
    assert (type(back), str(back), back.detail) == (kind, f"{kind.message}: detail", "detail")


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    for kind in ALL:
        assert kind.__name__ in (errors.__doc__ or "")
