# Every target says what it is for: `make help` prints them.
GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -X main.version=$(VERSION)

.PHONY: all help build helpers image check fmt vet test race lint e2e restictest pgtest fleettest uitest bbrsuite dockertest kubetest opstest bench mutants crash soak repeats writes shells faults fuzz demo clean

all: check test ## Formatting, vet and all tests that need nothing but Go

help: ## This list
	@grep -hE '^[a-z0-9]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  %-10s %s\n", $$1, $$2}'

build: helpers ## bin/lockstep, with the helpers in it
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/lockstep ./cmd/lockstep

# What instances are lent, by the name that uname -m has for their machine; see
# launcher/programs. What is built anew is put in place whole.
helpers: ## The helpers that are built in, for amd64 and arm64
	@for m in amd64:x86_64 arm64:aarch64; do \
	  f=launcher/programs/lockstep-helper-$${m#*:} && \
	  GOOS=linux GOARCH=$${m%:*} CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -ldflags '-s -w' -o $$f.new ./cmd/lockstep-helper && \
	  gzip -9nf $$f.new && mv -f $$f.new.gz $$f.gz || exit 1; done

image: build ## A container image, lockstep:VERSION (Docker; the build host's certificates go into it)
	@context=$$(mktemp -d) && trap 'rm -rf "$$context"' EXIT && mkdir -m 0700 "$$context/state" && \
	cp bin/lockstep /etc/ssl/certs/ca-certificates.crt "$$context" && \
	docker build -q -t lockstep:$(subst +,-,$(VERSION)) -f packaging/Dockerfile "$$context"

check: fmt vet ## Formatting and vet

fmt:
	@files=$$(gofmt -l $$(git ls-files -co --exclude-standard '*.go')); \
	if [ -n "$$files" ]; then echo "gofmt these files:"; echo "$$files"; exit 1; fi

vet:
	$(GO) vet ./...
	GOOS=linux GOARCH=arm64 CGO_ENABLED=0 $(GO) vet ./helper ./cmd/lockstep-helper # lent to such machines too

test: ## All tests that need nothing but Go, without what `make repeats` has of them
	GO='$(GO)' test/briefly -timeout 30m -vet=off ./...

race: ## The same under the race detector (needs a C compiler)
	CGO_ENABLED=1 $(GO) test -race -timeout 40m ./...

lint: ## golangci-lint with .golangci.yml, where it is installed
	golangci-lint run

e2e: build ## Real sshd, PostgreSQL and Redis on instances in namespaces (root, Debian)
	test/e2e/run

restictest: ## Our repository with Debian's stock restic, and a thousand flipped bits
	test/restic/run

pgtest: ## The journal in a real PostgreSQL, which is killed, and failed over to a standby; servers that share it
	test/postgres/run

fleettest: ## Workers in zones over a real Temporal and PostgreSQL, which are killed, stopped and cut off (builds Temporal once, in minutes)
	test/fleet/run

uitest: ## The pages in Debian's Chromium, over a real server
	test/ui/run

bbrsuite: ## The bbr program against a strict director, containers as instances (Docker; root on Debian)
	test/bbr/run

dockertest: ## Containers of a real engine as instances (Docker; root on Debian)
	test/docker/run

kubetest: ## Pods of a real node of Kubernetes, whose parts are killed (Docker; root on Debian; builds the node once, in 5 to 10 minutes)
	test/kube/run

opstest: ## docs/operations.md, followed on machines with systemd (Docker; root on Debian)
	test/ops/run

bench: build ## Ratios against a reference measured in the same run; BENCH=-quick is a first look
	test/bench/run $(BENCH)

mutants: ## Hand-made bugs of the guards; the tests must catch each
	$(GO) run ./test/mutants

crash: ## kill -9 of the program at every fault point and at random moments, 1,000 times and more
	$(GO) run ./test/crash -kills 800 -each 40
	$(GO) run ./test/crash -kills 200 -each 10 -shell

soak: ## What takes long: 200,000 seeds of the simulation, two years of schedules, fifty instances
	$(GO) test ./engine -run 'TestSimulation$$' -seeds 200000 -timeout 30m
	$(GO) test ./scheduler -run 'TestWork_ForALongTime$$' -days 730 -timeout 10m
	$(GO) test ./test/director -run 'OneConnectionToEachOfMany' -instances 50 -timeout 20m

repeats: ## What repeats others and `make` leaves out: the launcher in bash, each chapter of commands over a server
	$(GO) test ./launcher -shells bash -timeout 20m
	$(GO) test ./cli -run 'TestScriptsOverAServer$$' -timeout 20m

shells: ## The launcher's tests with every sh there is, and with the tools of older and newer Debians (root on Debian)
	test/shells/run

writes: ## Power lost 100,000 times while the journal and a repository are written; bits flipped in all that is kept
	$(GO) test ./test/writes -v -cuts 50000 -flips 2000 -timeout 90m

faults: ## docs/faults.md, from the directives of the tests
	$(GO) run ./test/faults

# Without a bound on it, making the first new input of a long seed smaller takes
# all of the time.
FUZZTIME ?= 1000000x
fuzz: ## Each fuzz target a million times (FUZZTIME=20s is a first look)
	@for p in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz'); do \
	    echo "$$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x $$p || exit 1; done; done

demo: ## The main job on a small sample deployment, over SSH on loopback
	$(GO) run ./cmd/lockstep demo

clean: ## Remove what build made
	rm -rf bin launcher/programs/*.gz
