"""Notebooks, labs, grading and the doctor."""
