"""The page of operations is what the code says."""

from pathlib import Path

from mpc.reference import page


def test_the_page_of_operations_is_what_the_code_says() -> None:
    written = Path(__file__).parents[2] / "docs" / "operations.md"
    assert written.read_text() == page(), "run: python -m mpc.reference > docs/operations.md"
