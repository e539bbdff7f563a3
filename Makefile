# Thin aliases of run.py, for those who have make: make lab, make test.
PYTHON ?= python3

.PHONY: lab test notebooks labs author book bench doctor
lab test author book bench doctor:
	$(PYTHON) run.py $@ $(ARGS)

notebooks:  # make notebooks ARGS="build 03"
	$(PYTHON) run.py notebooks $(or $(ARGS),check)

labs:  # make labs ARGS="build 01"
	$(PYTHON) run.py labs $(or $(ARGS),check)
