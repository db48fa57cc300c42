# From a fresh clone, with only Python (3.11 or later), git and make:
#
#   make demo    an unmodified HTTP client goes through a SOCKS server, and shows which way
#   make test    lint, the whole suite on the default Python, and a part of it on each other one from 3.11 to 3.15
#   make full    the whole suite on each of them
#   make lint    types, rules of style, formatting
#   make cover   every branch of protocol/, config/ and routing/ is taken by their tests
#   make coverage   how much of the rest the whole suite takes in its own process, and that it is not less than before
#   make mutants changes protocol/ and config/match.py in small ways; each has to make a test fail, or to have a reason in tests/mutants.toml
#   make bench   the measurements, beside our peers
#   make loops   every event loop on one matrix; writes the README's table
#   make wire    who leaks what: we and our peers on a recorded network, as root; writes the README's tables
#   make clients every client library, natively and through the proxy, as root; writes the README's tables
#   make conformance   CPython's own network tests, natively and through the proxy, as root; writes the README's table
#   make loops-3.15, wire-3.15, clients-3.15, conformance-3.15 and so on: the same on another Python
#   make tracers our hook before and behind ddtrace's, newrelic's and opentelemetry's
#   make soak    calls interrupted at every bytecode; 100,000 connections that end in every way there is; ten minutes of the server with clients that do
#   make clean   removes what these made

.PHONY: demo test full suite others lint cover coverage mutants bench loops wire clients conformance tracers soak clean
.DELETE_ON_ERROR:
# Reached only through pattern rules, these would be deleted as intermediate files.
.PRECIOUS: .venv-%/.equipped .venv-clients-%/.equipped

DEFAULT = $(shell .ci/pythons | sed -n '1s/.* //p')
OTHERS = $(shell .ci/pythons | sed '1d; s/ .*//')
# Each other Python runs one part of the suite, not the same one, so that all of it ends within 15 minutes on two cores.
# The number of commits moves the parts on: after as many commits as there are parts (tests/support/parts.py) every test
# has run on every version, and the same commit always runs the same tests. An archive without history takes the day of
# the year.
PART = --part $(shell git rev-list --count HEAD 2>/dev/null || date +%j)
# Two workers a core: most tests wait for somebody, most of the time.
PYTEST = -m pytest --durations=25 -n $(shell echo $$((2 * $$(nproc))))
# What failed beside others runs once more, alone. A test that fails again has failed; the first run has told of the rest.
ALONE = -m pytest --last-failed --last-failed-no-failures none
# Bytecode is written for what is imported, whatever the environment says: thousands of child processes import the same.
export PYTHONDONTWRITEBYTECODE =
PIP = -m pip install --quiet --no-compile

demo: .venv/.installed
	.venv/bin/python tests/demo.py

# The environments are made side by side, and the types are checked meanwhile: each of these waits for much, or uses one
# core.
test: .pythons/.unpacked
	@.ci/pythons --complete
	@$(MAKE) --no-print-directory --output-sync=target -j 6 lint cover $(OTHERS:%=.venv-%/.equipped)
	@$(MAKE) --no-print-directory suite others

full: suite
	$(MAKE) others PART=

suite: .venv/.equipped
	@.ci/packages
	.venv/bin/python $(PYTEST) || .venv/bin/python $(ALONE)

others: .venv/.equipped .pythons/.unpacked
	@.ci/pythons --complete
	@$(MAKE) --no-print-directory -j 4 $(OTHERS:%=.venv-%/.equipped)
	@set -e; for version in $(OTHERS); do $(MAKE) --no-print-directory suite-$$version; done

suite-%: .venv-%/.equipped
	.venv-$*/bin/python $(PYTEST) $(PART) || .venv-$*/bin/python $(ALONE)

lint: .venv/.equipped
	.venv/bin/mypy
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .

cover: .venv/.equipped
	.venv/bin/python $(PYTEST) --cov=socksify.protocol --cov=socksify.config --cov=socksify.routing --cov-fail-under=100 \
		--cov-report=term-missing:skip-covered $(addprefix tests/unit/,protocol config routing)

# Branches that the suite takes in its own processes, in per cent; child processes are not counted. The number is what the
# suite came to, and may only rise. A test that fails here is the business of `make test`.
COVERAGE = 82
coverage: .venv/.equipped
	@.ci/packages
	-.venv/bin/python $(PYTEST) --cov=socksify --cov-report=
	.venv/bin/python -m coverage report --skip-covered --fail-under=$(COVERAGE)

mutants: .venv-mutants/.equipped
	rm -rf mutants
	.venv-mutants/bin/mutmut run
	.venv-mutants/bin/python -m tests.mutants

bench: .venv/.equipped
	@.ci/packages
	.venv/bin/python -m tests.bench

loops: .venv/.equipped
	.venv/bin/python -m tests.reports.loops

loops-%: .venv-%/.equipped
	.venv-$*/bin/python -m tests.reports.loops

wire: .venv/.equipped
	@.ci/packages wire
	@$(MAKE) --no-print-directory .venv-sealed/.equipped
	.venv/bin/python -m tests.reports.wire
	.venv-sealed/bin/python -m tests.reports.sealed

wire-%: .venv-%/.equipped
	@.ci/packages
	.venv-$*/bin/python -m tests.reports.wire

clients: .venv-clients/.equipped
	@.ci/packages clients
	.venv-clients/bin/python -m tests.reports.compatibility

clients-%: .venv-clients-%/.equipped
	@.ci/packages clients
	.venv-clients-$*/bin/python -m tests.reports.compatibility

tracers: .venv/.equipped .venv-tracers/.equipped
	TRACERS=.venv-tracers/bin/python .venv/bin/python -m pytest tests/integration/site/tracers

conformance: .venv/.equipped
	@.ci/packages
	.venv/bin/python -m tests.reports.conformance

conformance-%: .venv-%/.equipped
	@.ci/packages
	.venv-$*/bin/python -m tests.reports.conformance

soak: .venv/.equipped
	@.ci/packages
	INTERRUPT_STEP=1 .venv/bin/python $(PYTEST) tests/integration/interrupts
	SOAK=100000 SOAK_SECONDS=600 .venv/bin/python -m pytest tests/soak

clean:
	rm -rf .pythons .venv .venv-3.* .venv-clients* .venv-sealed .venv-tracers .venv-mutants mutants .coverage build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find socksify tests -name __pycache__ -prune -exec rm -rf {} +

.venv/.installed: pyproject.toml
	"$(or $(DEFAULT),$(error no Python of 3.11 or later, with venv, was found; set PYTHON=))" -m venv .venv
	.venv/bin/python $(PIP) --editable .
	touch $@

# `pip install --group` came with pip 25.1.
.venv/.equipped: .venv/.installed
	.venv/bin/python $(PIP) 'pip>=25.1'
	.venv/bin/python $(PIP) --group dev
	touch $@

# Much of it in C, and some of it beside its own successor.
.venv-clients/.equipped: pyproject.toml
	"$(or $(DEFAULT),$(error no Python of 3.11 or later, with venv, was found; set PYTHON=))" -m venv .venv-clients
	.venv-clients/bin/python $(PIP) 'pip>=25.1'
	.venv-clients/bin/python $(PIP) --editable . --group compatibility
	.venv-clients/bin/python $(PIP) --target .venv-clients/older 'urllib3<2'
	touch $@

# Before the rule for .venv-%, which would match it too.
.venv-clients-%/.equipped: pyproject.toml .pythons/.unpacked
	"$$(.ci/pythons | sed -n 's/^$* //p')" -m venv .venv-clients-$*
	.venv-clients-$*/bin/python $(PIP) 'pip>=25.1'
	.venv-clients-$*/bin/python $(PIP) --editable . --group compatibility
	.venv-clients-$*/bin/python $(PIP) --target .venv-clients-$*/older 'urllib3<2'
	touch $@

# mysqlclient is compiled, with what `.ci/packages wire` installs.
.venv-sealed/.equipped: pyproject.toml
	"$(or $(DEFAULT),$(error no Python of 3.11 or later, with venv, was found; set PYTHON=))" -m venv .venv-sealed
	.venv-sealed/bin/python $(PIP) 'pip>=25.1'
	.venv-sealed/bin/python $(PIP) --editable . --group sealed
	touch $@

.venv-mutants/.equipped: pyproject.toml
	"$(DEFAULT)" -m venv .venv-mutants
	.venv-mutants/bin/python $(PIP) 'pip>=25.1'
	.venv-mutants/bin/python $(PIP) --editable . --group test --group mutants
	touch $@

.venv-tracers/.equipped: pyproject.toml
	"$(DEFAULT)" -m venv .venv-tracers
	.venv-tracers/bin/python $(PIP) 'pip>=25.1'
	.venv-tracers/bin/python $(PIP) --editable . --group tracers
	touch $@

# The Pythons that Debian has beside its stable ones.
.pythons/.unpacked: .ci/unpack-pythons
	.ci/unpack-pythons 3.14 3.15
	@mkdir -p .pythons
	touch $@

.venv-%/.equipped: pyproject.toml .pythons/.unpacked
	"$$(.ci/pythons | sed -n 's/^$* //p')" -m venv .venv-$*
	.venv-$*/bin/python $(PIP) 'pip>=25.1'
	.venv-$*/bin/python $(PIP) --editable . --group suite
	touch $@
