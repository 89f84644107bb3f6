"""A reward of one's own, as ``file: example.py`` and ``function: brevity`` name it."""


def brevity(answer: str, row: dict) -> float:
    """1 for an answer of at most ``words`` words (a column of the row, or 20); less beyond."""
    limit = int(row.get("words") or 20)
    return min(1.0, limit / max(1, len(answer.split())))
