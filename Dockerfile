# JupyterLab with the kernel, for servers: docker build -t kvnotes . && docker run --rm -p 127.0.0.1:8888:8888 kvnotes
# It prints an address with a token. Nothing runs as root. Binder does not read this file, but binder/.
FROM golang:1.26.8-bookworm AS build
WORKDIR /src
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags="-s -w" -o /kvnotes ./kernel/kvnotes

FROM python:3.13-slim-bookworm
RUN useradd --create-home --uid 1000 kvnotes && pip install --no-cache-dir "jupyterlab>=4.2,<5" "ipywidgets>=8.1,<9"
COPY --from=build /kvnotes /usr/local/bin/kvnotes
COPY --chown=1000:1000 notebooks /home/kvnotes/notebooks
USER 1000
WORKDIR /home/kvnotes/notebooks
RUN kvnotes kernel install && kvnotes pull smollm2
EXPOSE 8888
CMD ["jupyter", "lab", "--ip=0.0.0.0", "--no-browser"]
