# Builds the extension with PGXS (`make`, `make install`, `make installcheck`) and drives every
# test, demo and benchmark. `make help` lists the targets. Those that need more than PGXS call
# scripts/setup first, so they work on a machine without PostgreSQL and without a compiler.

EXTENSION   = faultline
MODULE_big  = faultline
# The control file is the single source of the version.
EXTVERSION := $(shell sed -n "s/^default_version *= *'\(.*\)'.*/\1/p" faultline.control)
PG_MAJOR_MIN = 15

# core/ is compiled here and again by CMake (into build/cmake) for the programs outside the server.
OBJS := $(patsubst %.cpp,%.o,$(sort $(wildcard core/*.cpp src/*.cpp src/*/*.cpp bgworker/*.cpp)))
INSTALL_SCRIPT_SQL = sql/$(EXTENSION)--$(EXTVERSION).sql
DATA_built = $(INSTALL_SCRIPT_SQL)
# Upgrade scripts, written by hand and frozen once released.
DATA := $(wildcard sql/$(EXTENSION)--*--*.sql)

# For a server that runs already and has the settings of test/regress.conf.
REGRESS        := $(patsubst test/sql/%.sql,%,$(sort $(wildcard test/sql/*.sql)))
REGRESS_OPTS    = --inputdir=test --load-extension=$(EXTENSION)
ISOLATION      := $(patsubst test/isolation/specs/%.spec,%,\
                  $(sort $(wildcard test/isolation/specs/*.spec)))
ISOLATION_OPTS  = --inputdir=test/isolation --load-extension=$(EXTENSION)

PG_CONFIG ?= pg_config
PG_VERSION := $(shell $(PG_CONFIG) --version 2>/dev/null)
PGXS       := $(wildcard $(shell $(PG_CONFIG) --pgxs 2>/dev/null))
# Empty without server headers or with a server that is too old.
PG_MAJOR   := $(if $(PGXS),$(shell echo '$(PG_VERSION)' | \
    sed -n 's/^PostgreSQL \([0-9]*\).*/\1/p' | awk '$$1 >= $(PG_MAJOR_MIN)'))

CXX_STANDARD = -std=c++20 -fno-exceptions -fno-rtti -Wno-register
# -isystem: warnings in the server's headers are not ours.
PG_CPPFLAGS  = -I. -Icore -Isrc -isystem $(shell $(PG_CONFIG) --includedir-server)
PG_CXXFLAGS  = $(CXX_STANDARD) -Wall -Wextra -Wno-unused-parameter \
               -Wno-missing-field-initializers -MMD -MP \
               $(if $(filter 1,$(ERROR_ON_WARNING)),-Werror)
EXTRA_CLEAN  = $(OBJS:.o=.d)

# LLVM bitcode lets the server's JIT inline functions into expressions, which gains nothing here.
# Opt in with `make with_llvm=yes`.
ifneq ($(origin with_llvm),command line)
override with_llvm := no
endif

# The scripts run make again, and are to use the same.
export PG_CONFIG ERROR_ON_WARNING

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.PHONY: all install installcheck uninstall clean clean-build help setup pgroot demo test lint \
        format bench drain drills model soak worker-soak simulate fuzz conformance mutants \
        worker-figures docs lab incident new-failure-mode FORCE

all: ## build the extension (the default)
install: ## install it into the server of PG_CONFIG
installcheck: ## run test/sql and test/isolation on a server that runs already
clean: clean-build ## remove everything that was built

ifneq ($(PG_MAJOR),)
include $(PGXS)

# PGXS hands PG_CXXFLAGS to the compiler of the library only, not to that of the bitcode.
COMPILE.cxx.bc += $(CXX_STANDARD)
# PGXS does not track headers; and those of the server change with its version.
-include $(wildcard $(OBJS:.o=.d))
$(OBJS) $(OBJS:.o=.bc): build/pg_version
build/pg_version: FORCE
	@mkdir -p build
	@echo '$(PG_VERSION)' | cmp -s - $@ || echo '$(PG_VERSION)' > $@

# The folder is named too: its time changes when a part is removed.
$(INSTALL_SCRIPT_SQL): $(sort $(wildcard sql/$(EXTENSION)/*.sql)) sql/$(EXTENSION) faultline.control
	cat $(filter %.sql,$^) > $@

ifneq ($(PG_MAJOR),15)
# 15 looks for expected/ in the output folder and then the input folder; later ones are told.
ISOLATION_OPTS += --expecteddir=test/isolation
endif
else
all install installcheck uninstall:
	@echo "faultline needs PostgreSQL $(PG_MAJOR_MIN) or newer with its server headers;" \
	    "\"$(PG_CONFIG)\" is $(or $(PG_VERSION),missing)." >&2
	@echo "Run scripts/setup, or name another: make PG_CONFIG=/path/to/pg_config" >&2
	@exit 1
endif

clean-build:
	@find build -name cluster.conf 2>/dev/null | while read -r file; do \
	    scripts/cluster stop "$${file%/*}"; done
	rm -rf build $(OBJS) $(OBJS:.o=.d) $(OBJS:.o=.bc) $(EXTENSION).so

help: ## this list
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' \
	    $(firstword $(MAKEFILE_LIST))

setup: ## install the Debian packages needed, if any is missing
	@scripts/setup

demo: setup ## jobs from a file through several workers, one of them killed
	@scripts/demo $(ARGS)

test: setup ## every check and test on private servers; SUITES="regress tap" chooses
	@scripts/test $(SUITES)

test-unit: setup ## core/ and client/ without a server (Catch2)
test-regress: setup ## test/sql: what SQL returns, and the text of errors (pg_regress)
test-isolation: setup ## test/isolation: who wins each race
test-pgtap: setup ## test/pgtap: signatures, privileges, invariants
test-tap: setup ## test/t: crashes, restarts, dumps, on clusters of their own
test-readme: setup ## the README's commands do what it says
test-valgrind: setup ## the unit tests under valgrind memcheck
test-demo: setup ## the demo, every figure of it checked
test-ops: setup ## alerts, dashboard, exporters and runbooks; a short incident
test-lab: setup ## the failure modes of `make lab`
test-model: setup ## the protocol's model and its mutants (Spin)
test-conformance: setup ## scenarios and random histories against the reference queue
test-simulator: setup ## 200 seeds of the simulator, and whether a seed repeats itself
test-mutants: setup ## some of the mutants of `make mutants`: does being wrong get noticed?
test-fuzz: setup ## 20,000 calls with garbage
test-drill: setup ## a quick share of `make drills`, `make drain` and both soaks
test-bench: setup ## every benchmark for an instant: does it still work?
test-unit test-regress test-isolation test-pgtap test-tap test-readme test-valgrind test-demo \
    test-lab test-model test-conformance test-simulator test-mutants test-fuzz \
    test-drill test-bench test-ops: test-%:
	@scripts/test $*
.PHONY: test-unit test-regress test-isolation test-pgtap test-tap test-readme \
        test-valgrind test-demo test-lab test-model test-conformance \
        test-simulator test-mutants test-fuzz test-drill test-bench test-ops

lint: setup ## rules that a machine can check; each message says what to do
	@scripts/test lint

format: setup ## let clang-format lay out the C++
	@scripts/lint --format

bench: setup ## measure against other queues, quickly; ARGS chooses: see bench/README.md
	@bench/run $(or $(ARGS),--scenario all --quick)

drain: setup ## a million jobs, eight workers, five of them killed
	@lab/drills/drain $(ARGS)

drills: setup ## sixteen faults with real processes, D01 to D16; drill-D05 is one; ARGS=--quick
	@lab/drills/drill $(ARGS)

drill-%: setup
	@lab/drills/drill $* $(ARGS)

lab: setup ## every failure mode: it happens elsewhere, and not here; lab-FM_012, lab-FM_012-repro
	@lab/failure-modes $(ARGS)

lab-%: setup
	@lab/failure-modes $* $(ARGS)

new-failure-mode: ## begin one; NAME=091_late_answer
	@lab/new-failure-mode $(NAME)

model: setup ## check the protocol with Spin, and what each protection is there for
	@lab/model/run

soak: setup ## clients at work, a fault each minute, every job accounted for; MINUTES=30
	@lab/drills/soak --minutes $(or $(MINUTES),30) $(ARGS)

worker-soak: setup ## ten minutes of attacks on the background worker; ARGS="--minutes 1"
	@lab/drills/worker-soak $(ARGS)

simulate: setup ## clients, faults and time from a seed; SEED=42 or SEEDS=1..200
	@lab/simulator/simulate --seeds $(or $(SEED),$(SEEDS),1..20) $(ARGS)

fuzz: setup ## every function with garbage, and sqlsmith; ARGS="--calls 1000000 --queries 20000"
	@lab/fuzz/fuzz $(or $(ARGS),--calls 100000 --queries 2000)

conformance: setup ## the server against the reference queue; ARGS="--histories 1000"
	@lab/conformance/conformance $(ARGS)

mutants: setup ## the product with a decision wrong, one after the other: who notices? NAMES=...
	@lab/mutants/run $(ARGS) $(NAMES)

worker-figures: setup ## how soon a dead client's job runs again, and what an idle server costs
	@lab/drills/worker-figures $(ARGS)

incident: setup ## a scripted incident, watched by a real Prometheus; ARGS=--record writes the page
	@ops/incident $(ARGS)

docs: setup ## write docs/reference.md from the catalogs; check the links between the pages
	@scripts/generate-reference
	@scripts/lint links

pgroot: setup ## make build/pgroot, the private server with the extension
	@scripts/pgroot

print-%:
	@echo '$* = $($*)'
