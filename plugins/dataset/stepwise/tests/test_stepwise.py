import pytest

from ft.api import RowError
from ft_dataset_stepwise import dataset


@pytest.mark.parametrize(
    ("labels", "field", "said"),
    [
        ([True], "labels", "1 entries, and there are 2 steps"),
        ([True, 3], r"labels[1]", "a verdict is 0 to 1"),
        ([True, None], r"labels[1]", "a finite number is wanted"),
    ],
)
def test_verdicts_that_do_not_fit_are_refused(labels, field, said):
    row = {"prompt": "What?", "completions": ["This.", "That."], "labels": labels}
    with pytest.raises(RowError, match=said) as error:
        dataset.bind("stepwise").ft_align_row(row)
    assert error.value.field == field
