import pytest

from ft.api import Labelled, RowError
from ft_dataset_labelled import dataset


def align(row, **options):
    return dataset.bind("labelled", options).ft_align_row(row)


def test_a_number_gets_its_name():
    row = {"text": "It broke.", "label": 1}
    assert align(row, names=["good", "bad"]) == Labelled("It broke.", "bad")
    assert align(row) == Labelled("It broke.", "1")
    assert align({"text": "It broke.", "label": "0"}, names=["good", "bad"]).label == "good"


@pytest.mark.parametrize(
    ("label", "said"), [(2, "those of 0 to 1"), (None, "a class is wanted"), (True, "is wanted")]
)
def test_what_is_no_class_is_refused(label, said):
    with pytest.raises(RowError, match=said) as error:
        align({"text": "It broke.", "label": label}, names=["good", "bad"])
    assert error.value.field == "label"
