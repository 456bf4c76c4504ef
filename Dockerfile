# docs/docker.md explains how this image is built and run.
ARG BASE=python:3.12-slim
FROM ${BASE}

# of pip: the index of a mirror, and another one beside it, such as that of PyTorch's CPU builds
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ARG EXTRAS=fetch,index,ros,serve,video

# bases of CUDA have no Python
RUN command -v python3 || (apt-get update \
    && apt-get install --yes --no-install-recommends python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*)

WORKDIR /opt/cvlnet
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src src
RUN python3 -m venv /opt/venv \
    && /opt/venv/bin/pip install --no-cache-dir -c constraints.txt ".[${EXTRAS}]" \
    && rm -rf /opt/cvlnet
ENV PATH=/opt/venv/bin:$PATH NUMBA_CACHE_DIR=/tmp/numba MPLCONFIGDIR=/tmp/matplotlib

# Docker itself would make the folder below root's, and so would volumes with a name
RUN useradd --create-home vehicle && install --directory --owner vehicle /data
USER vehicle
WORKDIR /data
ENTRYPOINT ["cvlnet"]
CMD ["--help"]
