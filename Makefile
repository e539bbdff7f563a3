# Thin aliases of run.py, for those who have make: make lab, make test.
PYTHON ?= python3

.PHONY: lab test notebooks author doctor
lab test author doctor:
	$(PYTHON) run.py $@ $(ARGS)

notebooks:  # make notebooks ARGS="build 03"
	$(PYTHON) run.py notebooks $(or $(ARGS),check)
