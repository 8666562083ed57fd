# Clickbind in one image: every role is a command of it. Runs as an unprivileged user; only /data is written.
FROM python:3.12-slim AS build
WORKDIR /src
COPY requirements.lock pyproject.toml README.md ./
RUN python -m venv /opt/clickbind && /opt/clickbind/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
COPY tracker tracker
COPY postbacks postbacks
RUN /opt/clickbind/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.12-slim
RUN useradd --system --uid 10001 --home-dir /data clickbind && mkdir /data && chown clickbind /data
COPY --from=build /opt/clickbind /opt/clickbind
ENV PATH=/opt/clickbind/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    CLICKBIND_DATA_DIR=/data \
    CLICKBIND_EDGE_HOST=0.0.0.0 \
    CLICKBIND_API_HOST=0.0.0.0
USER clickbind
VOLUME /data
EXPOSE 8400 8401
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
    CMD python -c "import urllib.request as u; u.urlopen('http://127.0.0.1:8400/health/ready', timeout=2)"
ENTRYPOINT ["clickbind"]
CMD ["up"]
