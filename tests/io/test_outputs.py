import json
from math import nan

import pytest

from cvlnet.io.outputs import plain, write_json, write_json_list


@pytest.mark.parametrize("entries", [[], [{"a": 1}], [{"a": 1}, {"a": 'ü"\n'}]])
def test_a_long_list_has_a_line_an_entry(tmp_path, entries):
    write_json_list({"name": "]}"}, "all", iter(entries), tmp_path / "list.json")
    text = (tmp_path / "list.json").read_text()
    assert json.loads(text) == {"name": "]}", "all": entries}
    assert text.count("\n") == 2 + max(1, len(entries))


def test_numbers_that_are_not_finite_are_no_json(tmp_path):
    for write in (write_json, lambda value, path: write_json_list({}, "all", [value], path)):
        with pytest.raises(ValueError, match="JSON compliant"):
            write({"a": nan}, tmp_path / "a.json")
    assert not list(tmp_path.iterdir())


def test_plain_text_has_one_line_and_no_control_characters():
    assert plain(" a\x07\nb\ud800\ufffe  ü\U0001f697\t& <c>\r\n") == "a b ü\U0001f697 & <c>"
