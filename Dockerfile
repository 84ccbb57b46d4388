# syntax=docker/dockerfile:1
# Two stages: a virtual environment with the package and its compiled kernels, then only that.
# The base is pinned by tag; where images are built, pin it by digest as well
# (docker buildx imagetools inspect python:3.11-slim-bookworm) and let a bot move it.

FROM python:3.11-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY aiops ./aiops
RUN python -m venv /opt/aiops && /opt/aiops/bin/pip install .

FROM python:3.11-slim-bookworm
LABEL org.opencontainers.image.title="aiops" \
      org.opencontainers.image.description="Metrics and alerts in, explained incidents and guarded actions out" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --system --gid 10001 aiops \
    && useradd --system --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin aiops \
    && install -d -o 10001 -g 10001 /data /var/cache/aiops
COPY --from=build /opt/aiops /opt/aiops
ENV PATH=/opt/aiops/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    NUMBA_CACHE_DIR=/var/cache/aiops
USER 10001:10001

# Kernels are compiled here for the processor of the building machine, so that a start need not.
# On another processor Numba compiles them anew and keeps them in the same folder.
RUN ["python", "-m", "aiops.warm"]

# Numba insists on a cache it can write, so this folder is a volume: Docker fills it from the image,
# and `docker run --read-only --tmpfs /tmp` works. With readOnlyRootFilesystem in Kubernetes mount an
# emptyDir on both; the kernels are then compiled at the first start.
VOLUME ["/data", "/var/cache/aiops"]
WORKDIR /data
EXPOSE 9800
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:9800/-/healthy', timeout=2)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["aiops"]
CMD ["serve", "--listen", "0.0.0.0:9800", "--data-dir", "/data"]
