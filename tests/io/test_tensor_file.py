import pytest
import torch

from cvlnet.errors import InputError
from cvlnet.io.tensor_file import misfits, read_tensors, write_tensors


def read(path, largest_bytes=10_000):
    return read_tensors(path, "about", largest_bytes=largest_bytes, remedy="write it")


def test_tensors_and_their_description_come_back(tmp_path):
    columns = torch.arange(6.0).reshape(2, 3).T  # not contiguous
    write_tensors(tmp_path / "a" / "t.safetensors", {"columns": columns}, "about", {"format": 3})
    tensors, header = read(tmp_path / "a" / "t.safetensors")
    assert header == {"format": 3}
    assert torch.equal(tensors["columns"], columns)


def test_a_file_of_others_has_no_description(tmp_path):
    write_tensors(tmp_path / "t.safetensors", {}, "other", {"format": 3})
    assert read(tmp_path / "t.safetensors") == ({}, None)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\xff" * 64])
def test_what_is_no_tensor_file_is_told(content, tmp_path):
    path = tmp_path / "t.safetensors"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"not a whole safetensors file .*; write it"):
        read(path)


def test_size_is_bounded_before_reading(tmp_path):
    write_tensors(tmp_path / "t.safetensors", {"a": torch.zeros(9000)}, "about", {})
    with pytest.raises(InputError, match="larger than 10000 bytes"):
        read(tmp_path / "t.safetensors")
    with pytest.raises(InputError, match="no such file"):
        read(tmp_path / "missing.safetensors")


def test_numbers_that_are_too_large_for_the_network_are_not_finite():
    expected, given = {"a": torch.zeros(2)}, {"a": torch.tensor([0.0, 1e300], dtype=torch.float64)}
    assert misfits(expected, given) == "not finite a"
    assert misfits(expected, {"a": torch.tensor([0.0, 1e30], dtype=torch.float64)}) == ""
