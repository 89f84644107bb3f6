"""Data formats that are broken in one way."""

from dataclasses import replace

from mutant import mutant

from ft.api import Conversation, Message, Preference, RowError, hookimpl
from ft.api.rows import as_text
from ft.conformance.reference.dataset import QuestionAnswer


class Changed(QuestionAnswer):
    """The reference format, whose examples are changed."""

    @hookimpl
    def ft_align_row(self, row):
        return self.changed(super().ft_align_row(row), row)

    def changed(self, example, row):
        return example


@mutant("dataset.good-row")
class WrongRole(Changed):
    """Puts the answer under the role of the user."""

    def changed(self, example, row):
        question, answer = example.messages
        return replace(example, messages=[question, Message("user", answer.content)])


@mutant("dataset.good-row")
class NothingToCompare(QuestionAnswer):
    """Does not say what its example becomes."""

    aligned = None


@mutant("dataset.produces")
class OtherTypePromised(QuestionAnswer):
    """Says that it makes pairs, and makes conversations."""

    produces = (Preference,)


@mutant("dataset.produces")
class NothingPromised(QuestionAnswer):
    """Leaves ``produces`` as the base class has it."""

    produces = ()


@mutant("dataset.empty-row", "dataset.loses-nothing")
class MissingIsEmpty(QuestionAnswer):
    """Takes text that is not there, or no text, for empty text."""

    @hookimpl
    def ft_align_row(self, row):
        names = (self.options.question, self.options.answer)
        texts = [row.get(name) for name in names]
        texts = [text if isinstance(text, str) else "" for text in texts]
        return Conversation(
            [Message("user", texts[0]), Message("assistant", texts[1])],
            extra={k: v for k, v in row.items() if k not in names},
        )


@mutant("dataset.loses-nothing")
class WrongIsWrittenOut(QuestionAnswer):
    """Makes text of whatever stands in a column."""

    @hookimpl
    def ft_align_row(self, row):
        if row.get(self.options.question) is None or self.options.answer not in row:
            return super().ft_align_row(row)
        return super().ft_align_row({**row, self.options.answer: str(row[self.options.answer])})


@mutant("dataset.loses-nothing")
class FieldSwallowed(QuestionAnswer):
    """Catches the error of one column, and goes on with a stand-in."""

    @hookimpl
    def ft_align_row(self, row):
        try:
            return super().ft_align_row(row)
        except RowError:
            if row.get(self.options.answer) is None or self.options.question not in row:
                raise
            turns = [Message("user", "Continue."), Message("assistant", "")]
            used = (self.options.question, self.options.answer)
            return Conversation(turns, extra={k: v for k, v in row.items() if k not in used})


@mutant("dataset.empty-row", "dataset.broken-row")
class RaisesKeyError(QuestionAnswer):
    """Expects that the columns are there."""

    @hookimpl
    def ft_align_row(self, row):
        for column in (self.options.question, self.options.answer):
            row[column]
        return super().ft_align_row(row)


@mutant("dataset.broken-row")
class DropsRows(Changed):
    """Leaves out rows with nothing to learn."""

    def changed(self, example, row):
        return example if example.messages[1].content.strip() else None


@mutant("dataset.broken-row")
class NamesNoField(QuestionAnswer):
    """Says that a row is wrong, and not where."""

    @hookimpl
    def ft_align_row(self, row):
        try:
            return super().ft_align_row(row)
        except RowError as error:
            raise RowError("the row is wrong") from error


@mutant("dataset.broken-row")
class NamesAnotherField(QuestionAnswer):
    """Names the turn that it was making, which is no column of the row."""

    @hookimpl
    def ft_align_row(self, row):
        try:
            return super().ft_align_row(row)
        except RowError as error:
            raise RowError(error.message, field="messages[1]") from error


@mutant("dataset.broken-row", "dataset.empty-row")
class TakesWhatComes(QuestionAnswer):
    """Puts the values into messages as they are."""

    @hookimpl
    def ft_align_row(self, row):
        names = (self.options.question, self.options.answer)
        turns = [
            Message(role, row.get(name))
            for role, name in zip(("user", "assistant"), names, strict=True)
        ]
        return Conversation(turns, extra={k: v for k, v in row.items() if k not in names})


@mutant("dataset.leaves-rows-alone")
class PopsAColumn(QuestionAnswer):
    """Takes what it reads out of the row."""

    @hookimpl
    def ft_align_row(self, row):
        example = super().ft_align_row(row)
        row.pop(self.options.answer)
        return example


@mutant("dataset.repeats")
class RefusesDuplicates(Changed):
    """Refuses a row that it has seen."""

    def changed(self, example, row):
        seen = self.__dict__.setdefault("seen", set())
        text = str(row)
        if text in seen:
            raise RowError("is a duplicate", field=self.options.question)
        seen.add(text)
        return example


@mutant("dataset.repeats")
class RemembersTheRowBefore(Changed):
    """Keeps the system text of one row for those that follow."""

    def changed(self, example, row):
        if self.options.answer in row and row[self.options.answer] == " ":
            self.system = "Say nothing."
        if not hasattr(self, "system"):
            return example
        return replace(example, messages=[Message("system", self.system), *example.messages])


@mutant("dataset.column-options")
class HardWiredColumn(QuestionAnswer):
    """Reads one column by the name that it usually has."""

    @hookimpl
    def ft_align_row(self, row):
        turns = [
            Message("user", as_text(row.get(self.options.question), self.options.question)),
            Message("assistant", as_text(row.get("answer"), "answer")),
        ]
        used = (self.options.question, "answer")
        return Conversation(turns, extra={k: v for k, v in row.items() if k not in used})


@mutant("dataset.column-options")
class OldNameInTheError(QuestionAnswer):
    """Reads the column that the option names, and blames the usual one."""

    @hookimpl
    def ft_align_row(self, row):
        if not isinstance(row.get(self.options.answer), str):
            as_text(row.get(self.options.question), self.options.question)
            raise RowError("is no text", field="answer")
        return super().ft_align_row(row)


@mutant("dataset.keeps-other-columns")
class ForgetsOtherColumns(Changed):
    """Fills ``extra`` with the columns that it has heard of."""

    def changed(self, example, row):
        return replace(example, extra={k: v for k, v in example.extra.items() if k == "source"})


@mutant("dataset.keeps-other-columns")
class RefusesOtherColumns(Changed):
    """Refuses a row with a column that it does not know."""

    def changed(self, example, row):
        known = {self.options.question, self.options.answer, "source"}
        odd = sorted(set(row) - known)
        if odd and len(row) > 3:
            raise RowError("is a column that nobody knows", field=odd[0])
        return example
