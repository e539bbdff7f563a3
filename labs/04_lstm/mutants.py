"""Wrong answers to lab 4 that students give, and right ones in other styles."""

from lmcore.course.labs import Equivalent, Mutant

MUTANTS: list[Mutant] = []
EQUIVALENTS: list[Equivalent] = []
