"""The table of mutants follows the code that it breaks."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.faults.mutants import MUTANTS, ROOT, Mutant


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.rule)
def test_the_rule_of_a_mutant_stands_once_in_its_file(mutant: Mutant) -> None:
    """The text that a mutant replaces is in its file exactly once, and the result is Python."""
    text = (ROOT / mutant.file).read_text(encoding="utf-8")
    assert text.count(mutant.kept) == 1
    ast.parse(text.replace(mutant.kept, mutant.broken))


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.rule)
def test_the_test_that_notices_a_mutant_exists(mutant: Mutant) -> None:
    """The file of the test is there, and it defines the function."""
    file, _, name = mutant.test.partition("::")
    text = (ROOT / Path(file)).read_text(encoding="utf-8")
    assert f"def {name.partition('[')[0]}" in text
