# One page of targets; each is a line or two, or a script beside what it works on.
export GOTOOLCHAIN = go1.26.8
PYTHON  ?= python3
VENV    := .venv
JUPYTER := $(VENV)/bin/python
GOLANGCI := go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
FUZZED  := $(shell grep -rl --include='*_test.go' '^func Fuzz' kernel kvpress cuda viz | xargs -n 1 dirname | sort -u | sed 's/^/.\//')
FUZZTIME ?= 90s

.DEFAULT_GOAL := help
.PHONY: help dist dist-check package-check binder-check docker-check cover vuln demo lab test test-long fuzz tiny notebooks build venv kernel model cuda cuda-bundle lint lint-cuda fmt fresh generate bench bench-table bench-presses bench-verbs bench-kernel reference clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

demo: kernel model ## run the Wikipedia notebook in Jupyter and print what it found
	@$(JUPYTER) notebooks/run.py --out build/demo notebooks/wikipedia_demo.ipynb

lab: kernel model ## open JupyterLab on the notebooks
	$(VENV)/bin/jupyter lab --notebook-dir notebooks

test: kernel model ## run all tests and all notebooks (needs no network once set up)
	@.ci/test

test-long: kernel model ## all reference cases of all ratios, the full soak of the kernel, and make fuzz
	KVNOTES_LONG=1 go test -timeout 60m -count=1 -v -run Reference ./kvpress/...
	KVNOTES_SOAK=1 go test -timeout 10m -count=1 -v -run Kernel ./kernel/kvnotes
	@$(MAKE) fuzz

fuzz: ## mutate files and answers of strangers for FUZZTIME (90 s) a target; one input that makes more than 1 GB fails
	@for p in $(FUZZED); do for f in $$(go test -list '^Fuzz' $$p | grep ^Fuzz); do \
		echo "== $$f in $$p"; go test -timeout 10m -run xxx -fuzz "^$$f$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1s $$p || exit 1; done; done

tiny: ## the fast tests: before every commit
	go vet ./kvpress/ ./kvpress/tensor ./kernel/internal/wire
	go test -timeout 1m ./kvpress/ ./kvpress/tensor ./kernel/internal/wire

notebooks: kernel model ## run every notebook; each checks its own claims
	@$(JUPYTER) notebooks/run.py --out build/notebooks notebooks/*.ipynb

build: ## build bin/kvnotes
	@mkdir -p bin
	go build -o bin/kvnotes ./kernel/kvnotes

cuda: ## build bin/kvnotes-cuda and the tests that a machine with a GPU can run without Go
	@mkdir -p bin
	sh cuda/build.sh
	eval "$$(sh cuda/build.sh env)" && go vet -tags cuda ./cuda ./kvpress/llm ./kernel/kvnotes && \
		go build -tags cuda -ldflags='-s -w' -o bin/kvnotes-cuda ./kernel/kvnotes && \
		go test -c -tags cuda -ldflags='-s -w' -o bin/cuda.test ./cuda && go test -c -tags cuda -ldflags='-s -w' -o bin/llm-cuda.test ./kvpress/llm

lint-cuda: ## what lint checks, of the code that only the tag cuda builds, and the tests of the driver that need no GPU
	eval "$$(sh cuda/build.sh env)" && $(GOLANGCI) run --allow-parallel-runners --build-tags cuda ./cuda ./kvpress/llm && \
		go test -tags cuda -timeout 2m -run Driver ./cuda

cuda-bundle: cuda ## pack what cuda/run.sh needs on a machine with a GPU into build/cuda-bundle.tgz
	git describe --always --dirty >cuda/commit
	tar czf build/cuda-bundle.tgz bin/cuda.test bin/llm-cuda.test go.mod cuda/run.sh cuda/commit kvpress/testdata
	@rm cuda/commit

$(VENV)/ready: binder/requirements.txt
	@echo "setting up Jupyter in $(VENV) (once)"
	$(PYTHON) -m venv $(VENV)
	$(JUPYTER) -m pip install --quiet --disable-pip-version-check -r binder/requirements.txt
	@touch $@

venv: $(VENV)/ready ## make .venv with JupyterLab

build/echarts.min.js:
	@mkdir -p build
	@sh notebooks/echarts.sh $@

kernel: build venv build/echarts.min.js ## install the kernel into .venv
	@bin/kvnotes kernel install --prefix $(VENV) $$(test -s build/echarts.min.js && echo --echarts build/echarts.min.js)

model: build venv ## fetch the default model, where it is not there yet
	@PATH="$(CURDIR)/$(VENV)/bin:$$PATH" bin/kvnotes pull smollm2

dist: build/echarts.min.js ## build what is released into dist: tar.gz, zip, wheels, parts lists, checksums (CUDA=1: the CUDA program too, see NOTICE)
	@rm -rf dist
	$(if $(CUDA),sh cuda/build.sh && eval "$$(sh cuda/build.sh env)" && )$(PYTHON) .ci/dist.py --echarts build/echarts.min.js $(if $(ONLY),--only $(ONLY)) $(if $(CUDA),--cuda)

dist-check: dist ## build it once more, in a new clone and from nothing, and compare every byte (CUDA=1, too)
	@sh .ci/dist_check.sh $(ONLY)

package-check: ## install the wheel and the tarball of dist into empty folders, without Go, and try them
	@$(PYTHON) .ci/package_check.py

binder-check: ## run binder/ in an empty root as an ordinary user, on one core, in 2 GB (as root; NOTEBOOKS=... chooses)
	.ci/binder_check.sh $(NOTEBOOKS)

docker-check: ## carry out the Dockerfile in empty roots, without Docker, and ask its server for the kernel (as root)
	.ci/docker_check.sh

vuln: ## look the modules up in Go's list of weaknesses (needs a network that reaches it)
	@STRICT=1 .ci/vuln.sh

cover: kernel model ## print how much of each package the tests reach, and fail where it is less than 75 %
	@.ci/cover.sh

lint: fresh ## what CI checks before it tests
	$(GOLANGCI) run --allow-parallel-runners ./...
	GOOS=windows go vet ./kernel/internal/server ./kernel/internal/wire ./kvpress/... ./viz/...
	GOOS=darwin GOARCH=arm64 go vet ./kernel/... ./kvpress/... ./viz/...
	go mod tidy -diff

fmt: ## format the code
	$(GOLANGCI) fmt

generate: ## write the bindings of the kernel again
	go generate ./kernel/bind

fresh: ## fail when the bindings of the kernel are out of date
	@before=$$(cat kernel/bind/*_bind.go | cksum); go generate ./kernel/bind; \
	test "$$before" = "$$(cat kernel/bind/*_bind.go | cksum)" || { echo "kernel/bind was out of date and is written again: commit it"; exit 1; }

bench: build model ## time everything on this processor beside torch, kvpress and llama.cpp (ONLY=prefill,... for a part)
	@$(PYTHON) kernel/kvnotes/testdata/cpu_bench.py --ours bin/kvnotes $(if $(ONLY),--only $(ONLY))

bench-table: ## put the table of the last `make bench` into docs/speed.md, and its main lines into README.md
	@$(PYTHON) kernel/kvnotes/testdata/cpu_bench.py --markdown build/bench/cpu.json --into docs/speed.md README.md

bench-presses: build model ## time every press on a kept prefill of 2,048 tokens
	bin/kvnotes bench --model smollm2 --press all
	go test -timeout 20m -run xxx -bench Press ./kvpress/llm

bench-verbs: ## time the loops and verbs of the CPU at BASE and here, and compare: make bench-verbs BASE=main
	@sh kvpress/cpu/bench.sh "$(BASE)"

bench-kernel: kernel ## time the kernel beside ipykernel
	@$(JUPYTER) kernel/kvnotes/testdata/kernel_bench.py

.PHONY: sweep recorded
RULER := bin/kvnotes eval --model smollm2 --bench ruler --press knorm,streaming_llm,snapkv,adasnapkv,expected_attention --ratio 0.25,0.5,0.75
NEEDLE := bin/kvnotes eval --samples 1000 --press "random,streaming_llm,snapkv(window=16),adakv(snapkv(window=16)),expected_attention" --ratio 0.25,0.5,0.75,0.9

sweep: build ## ask the needle model 1,000 questions under 20 presses and draw the README's picture of it (two minutes)
	$(NEEDLE) --out build/sweep --chart notebooks/pictures/needle_sweep.svg

recorded: build model ## make the recorded runs of RULER in kvpress/eval/testdata again, with their picture (20 minutes)
	$(RULER) --tokens 1024 --samples 3 --out build/recorded/1024 --chart notebooks/pictures/ruler_sweep.svg
	$(RULER) --tokens 2048 --samples 1 --out build/recorded/2048
	@for n in 1024 2048; do gzip -9nc build/recorded/$$n/smollm2-ruler.jsonl >kvpress/eval/testdata/recorded/smollm2-ruler-$$n.jsonl.gz; done

reference: model ## record the golden data of this repository again, with the Python kvpress
	sh kvpress/testdata/record.sh

clean: ## remove what was built; the pulled model stays in the user's cache
	rm -rf bin build $(VENV)
