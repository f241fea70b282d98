# One page of targets; each is a line or a script beside what it works on.
export GOTOOLCHAIN = go1.26.8
PYTHON ?= python3
VENV   := .venv
TEST   := go test -timeout 14m

.DEFAULT_GOAL := help
.PHONY: help build venv kernel model demo lab test test-long tiny lint fmt generate bench reference clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

build: ## build bin/kvnotes
	@mkdir -p bin
	go build -o bin/kvnotes ./kernel/kvnotes

$(VENV)/ready: binder/requirements.txt
	@echo "setting up Jupyter in $(VENV) (once)"
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r binder/requirements.txt
	@touch $@

venv: $(VENV)/ready ## make .venv with JupyterLab

build/echarts.min.js:
	@mkdir -p build
	@sh notebooks/echarts.sh build

kernel: build venv build/echarts.min.js ## install the kernel into .venv
	@bin/kvnotes kernel install --prefix $(VENV) $$(test -s build/echarts.min.js && echo --echarts build/echarts.min.js)

model: build ## fetch the default model
	@bin/kvnotes pull smollm2

demo: kernel model ## run the Wikipedia notebook in Jupyter and print what it found
	@$(VENV)/bin/python notebooks/demo.py

lab: kernel ## open JupyterLab on the notebooks
	$(VENV)/bin/jupyter lab --notebook-dir notebooks

tiny: ## the fast tests, before every commit
	go vet ./kvpress/ ./kvpress/tensor ./kernel/internal/wire
	go test -timeout 1m ./kvpress/ ./kvpress/tensor ./kvpress/weights ./kvpress/needle ./kvpress/tokenizer ./kernel/internal/wire ./kernel/display

test: kernel model ## all tests
	$(TEST) -race ./kernel/internal/... ./kernel/display
	$(TEST) . ./kernel/bind ./kernel/kvnotes ./kvpress/... ./viz/...

test-long: kernel model ## all reference cases, long fuzzing
	KVNOTES_LONG=1 go test -timeout 60m -count=1 ./kvpress/llm -run Reference -v
	go test ./kernel/internal/wire -run xxx -fuzz FuzzParse -fuzztime 3m
	go test ./kvpress/weights -run xxx -fuzz FuzzGGUF -fuzztime 3m
	go test ./kvpress/weights -run xxx -fuzz FuzzSafetensors -fuzztime 3m
	go test ./kvpress/tokenizer -run xxx -fuzz FuzzLoad -fuzztime 3m

lint: ## what CI checks before it tests
	@test -z "$$(gofmt -l . | tee /dev/stderr)"
	go vet ./...
	GOOS=windows go vet ./kernel/internal/server ./kernel/kvnotes
	GOOS=darwin GOARCH=arm64 go vet ./kernel/... ./kvpress/...
	go mod tidy -diff
	go run honnef.co/go/tools/cmd/staticcheck@v0.7.0 ./...

fmt: ## format the code
	gofmt -w .

generate: ## write the bindings of the kernel again
	go generate ./kernel/bind

bench: build model ## time prefill, presses and decoding
	bin/kvnotes bench --model smollm2 --press knorm:0.5,snapkv:0.5,expected_attention:0.5,adasnapkv:0.5,adasnapkv:0.9
	go test ./kvpress/tensor -run xxx -bench .

reference: model ## record the golden data of this repository again, with the Python kvpress
	sh kvpress/testdata/record.sh

clean: ## remove what was built
	rm -rf bin build $(VENV)
