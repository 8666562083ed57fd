# Clickbind in one image: every role is a command of it. Runs as an unprivileged user on a read-only root; only /data is written.
FROM python:3.12-slim AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
# What runs, without the tools of development, each file checked against its hash. `make lock` writes the list.
COPY requirements.runtime.lock ./
RUN python3 -m venv /opt/clickbind \
    && /opt/clickbind/bin/pip install --require-hashes -r requirements.runtime.lock
# Dependencies above are a layer of their own: a change of the code does not install them again.
COPY pyproject.toml README.md ./
COPY tracker tracker
COPY postbacks postbacks
RUN /opt/clickbind/bin/pip install --no-deps . \
    && /opt/clickbind/bin/pip uninstall --yes pip

FROM python:3.12-slim
RUN useradd --system --uid 10001 --home-dir /data --shell /usr/sbin/nologin clickbind \
    && mkdir /data && chown clickbind /data && chmod 700 /data
COPY --from=build /opt/clickbind /opt/clickbind
# Metrics are for Prometheus in the same network, not for the world: publish 8400 and 8401 only.
ENV PATH=/opt/clickbind/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    CLICKBIND_DATA_DIR=/data \
    CLICKBIND_EDGE_HOST=0.0.0.0 \
    CLICKBIND_API_HOST=0.0.0.0 \
    CLICKBIND_METRICS_HOST=0.0.0.0
USER 10001
WORKDIR /data
VOLUME /data
EXPOSE 8400 8401 8402 8403
STOPSIGNAL SIGTERM
# For `up` and `edge`; compose.yaml asks the other roles at their own ports.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
    CMD ["python3", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8400/health/ready', timeout=2)"]
ENTRYPOINT ["clickbind"]
CMD ["up"]
