# One image for every context: the argument says which runs. `docker build -t torg .`; `docker run torg` is `./torg up`.
ARG PYTHON=python:3.12-slim

# ---------------------------------------------------------------- builder: libraries from the list with hashes, sources, both compiled
FROM ${PYTHON} AS builder
ENV PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /build
RUN python3 -m venv tools && python3 -m venv --without-pip /opt/torg
COPY requirements.lock .
RUN tools/bin/pip --python /opt/torg/bin/python install --no-input --progress-bar off --only-binary :all: --require-hashes --no-deps -r requirements.lock
COPY src /opt/torg/src
RUN find /opt/torg -depth -type d -name tests -exec rm -r {} + \
 && /opt/torg/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/torg/lib /opt/torg/src

# ---------------------------------------------------------------- result: no pip, no compiler, no shell needed, nobody's files but root's
FROM ${PYTHON}
LABEL org.opencontainers.image.title="Torg" \
      org.opencontainers.image.description="An open-source marketplace: one process on a laptop, a fleet of services when it grows." \
      org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --gid 10001 torg \
 && useradd --uid 10001 --gid torg --no-log-init --no-create-home --home-dir /var/lib/torg --shell /usr/sbin/nologin torg \
 && install -d -o torg -g torg -m 0750 /var/lib/torg \
 && rm -rf /usr/local/bin/pip* /usr/local/lib/python3*/site-packages/pip* /usr/local/lib/python3*/ensurepip
COPY --from=builder /opt/torg /opt/torg
ENV PATH=/opt/torg/bin:$PATH PYTHONPATH=/opt/torg/src PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    TORG_HOST=0.0.0.0 TORG_PORT=8000 TORG_DATA=/var/lib/torg TORG_LOG_FORMAT=json
USER 10001:10001
WORKDIR /var/lib/torg
VOLUME /var/lib/torg
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:' + (os.environ.get('TORG_MONITOR_PORT') or os.environ['TORG_PORT']) + '/health', timeout=4)"]
ENTRYPOINT ["python", "-P", "-m", "torg"]
CMD ["up"]
