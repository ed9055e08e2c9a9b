# The bot's image: Python, the locked wheels and the bot; no pip, no compiler, no build backend.
# Build: docker build -t attendant:0.1.0 .   docs/operations.md tells how to run it.
FROM python:3.12-slim AS build
WORKDIR /opt/attendant
COPY requirements.lock requirements-build.lock ./
RUN python -m venv --without-pip .venv
RUN python -m pip --python .venv/bin/python install --quiet --no-cache-dir --require-hashes --only-binary :all: -r requirements.lock
RUN python -m pip install --quiet --no-cache-dir --require-hashes --only-binary :all: --target .build -r requirements-build.lock
COPY pyproject.toml README.md LICENSE manifest.yml ./
COPY bot bot
COPY migrations migrations
# The bot is installed, so that the image needs no source folder. The build backend stays behind.
RUN PYTHONPATH=.build python -m pip --python .venv/bin/python install --quiet --no-cache-dir --no-index --no-deps --no-build-isolation .
RUN mkdir -p -m 0700 home/data

FROM python:3.12-slim
COPY --from=build /opt/attendant/.venv /opt/attendant/.venv
# The bot's own folder, for .env and data/. The numbers need no entry in /etc/passwd.
COPY --from=build --chown=10001:10001 /opt/attendant/home /var/lib/attendant
USER 10001:10001
WORKDIR /var/lib/attendant
VOLUME /var/lib/attendant/data
ENV PATH=/opt/attendant/.venv/bin:/usr/local/bin:/usr/bin:/bin HOME=/var/lib/attendant PYTHONDONTWRITEBYTECODE=1
ENV HOST=0.0.0.0 HEALTH_PORT=8080
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
  CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8080/readyz', timeout=4)"]
ENTRYPOINT ["attendant"]
CMD ["run"]
