# The server on a plain CPU. Build: docker build -t latentcam .   Start: see compose.yaml and docs/hosting.md.
ARG BASE=docker.io/library/python:3.12-slim-bookworm

FROM ${BASE} AS build
WORKDIR /src
RUN python3 -m venv /opt/latentcam
COPY requirements.txt constraints.txt ./
RUN /opt/latentcam/bin/pip install --no-cache-dir --no-compile -c constraints.txt -r requirements.txt hatchling
COPY pyproject.toml README.md LICENSE server.py ./
COPY latentcam latentcam
COPY engines engines
COPY models models
COPY stream stream
COPY signaling signaling
COPY web web
RUN /opt/latentcam/bin/pip install --no-cache-dir --no-build-isolation --no-deps . \
    && /opt/latentcam/bin/pip uninstall --yes hatchling pip \
    && /opt/latentcam/bin/python -m compileall -q /opt/latentcam

FROM ${BASE}
# What OpenCV's wheel links to.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgl1 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 latentcam \
    && useradd --uid 10001 --gid latentcam --home-dir /var/lib/latentcam --shell /usr/sbin/nologin latentcam \
    && install --directory --owner=latentcam --group=latentcam --mode=0700 /var/lib/latentcam /var/cache/latentcam
COPY --from=build /opt/latentcam /opt/latentcam
# The root file system may be read-only: what is written lies in these two folders and in /tmp.
ENV PATH=/opt/latentcam/bin:$PATH \
    HOME=/var/lib/latentcam \
    LATENTCAM_WEIGHTS=/var/lib/latentcam/weights \
    LATENTCAM_KEY=/var/lib/latentcam/mark-key.pem \
    LATENTCAM_CACHE=/var/cache/latentcam \
    LATENTCAM_LOG_FORMAT=json \
    PYTHONUNBUFFERED=1
WORKDIR /var/lib/latentcam
USER latentcam
VOLUME ["/var/lib/latentcam", "/var/cache/latentcam"]
EXPOSE 8080
STOPSIGNAL SIGTERM
# Networks are compiled on the first start.
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen(f'http://127.0.0.1:{os.environ.get(\"LATENTCAM_PORT\", 8080)}/livez', timeout=4)"]
ENTRYPOINT ["latentcam"]
