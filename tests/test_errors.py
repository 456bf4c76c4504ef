import pickle

from cvlnet.errors import InputError


def test_an_error_comes_whole_from_another_process():
    error = pickle.loads(pickle.dumps(InputError("is full", where="disk", remedy="free some space")))
    assert str(error) == "disk: is full; free some space"
    assert (error.what, error.where, error.remedy) == ("is full", "disk", "free some space")
