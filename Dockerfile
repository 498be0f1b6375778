# The images of our Python packages, a target each. From the repository's root:
#   docker build --target gateway -t sightline/gateway .
ARG UV_IMAGE=ghcr.io/astral-sh/uv:0.13.8
ARG PYTHON_IMAGE=python:3.11.15-slim-bookworm

FROM ${UV_IMAGE} AS uv

FROM ${PYTHON_IMAGE} AS workspace
COPY --from=uv /uv /usr/local/bin/uv
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never UV_PROJECT_ENVIRONMENT=/app
WORKDIR /src
# The manifests of the whole workspace: uv checks the lock against all of them.
COPY pyproject.toml uv.lock ./
COPY protos/pyproject.toml protos/
COPY kit/pyproject.toml kit/
COPY rules/pyproject.toml rules/
COPY core/pyproject.toml core/
COPY client/pyproject.toml client/
COPY agents/pyproject.toml agents/
COPY console/pyproject.toml console/
COPY services/gateway/pyproject.toml services/gateway/
COPY services/embedder/pyproject.toml services/embedder/
COPY services/retriever/pyproject.toml services/retriever/
COPY services/ranker/pyproject.toml services/ranker/
COPY services/vision/pyproject.toml services/vision/
COPY services/all/pyproject.toml services/all/

FROM ${PYTHON_IMAGE} AS runtime
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
RUN groupadd --gid 65532 sightline && \
    useradd --uid 65532 --gid 65532 --no-create-home --home-dir /nonexistent \
      --shell /usr/sbin/nologin sightline
# gRPC reads and writes in the thread that asyncio waits on: see deploy/local/local_suite/programs.py.
ENV PATH=/app/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 GRPC_EXPERIMENTS=-event_engine_client,-event_engine_listener
WORKDIR /

# Below, for each image: its packages, then the image. Tests of third-party packages are a tenth of one, and any user
# could write to uv's lock file. Callers of a container are on other hosts (_HOST); network policies decide which ones
# can reach it.

FROM workspace AS build-gateway
RUN --mount=type=cache,target=/root/.cache/uv \
    uv sync --locked --no-dev --no-install-workspace --package sightline-gateway
COPY protos/sightline protos/sightline
COPY kit/src kit/src
COPY rules/src rules/src
COPY core/src core/src
COPY services/gateway/src services/gateway/src
RUN --mount=type=cache,target=/root/.cache/uv \
    uv sync --locked --no-dev --no-editable --package sightline-gateway
RUN find /app \( -type d -name tests -o -path /app/.lock \) -prune -exec rm -r {} +

FROM runtime AS gateway
LABEL org.opencontainers.image.title="sightline-gateway" \
      org.opencontainers.image.description="The public API: plans, budgets, fusion, controls, honest degradation"
RUN install -d -o 65532 -g 65532 -m 700 /run/sightline
ENV GATEWAY_HOST=0.0.0.0 GATEWAY_HTTP_HOST=0.0.0.0
EXPOSE 8600 8680
USER 65532:65532
COPY --from=build-gateway /app /app
ENTRYPOINT ["python", "-m", "gateway"]

FROM workspace AS build-embedder
RUN --mount=type=cache,target=/root/.cache/uv \
    uv sync --locked --no-dev --no-install-workspace --package sightline-embedder --extra fit
COPY protos/sightline protos/sightline
COPY kit/src kit/src
COPY rules/src rules/src
COPY core/src core/src
COPY services/embedder/src services/embedder/src
RUN --mount=type=cache,target=/root/.cache/uv \
    uv sync --locked --no-dev --no-editable --package sightline-embedder --extra fit
RUN find /app \( -type d -name tests -o -path /app/.lock \) -prune -exec rm -r {} +

FROM runtime AS embedder
LABEL org.opencontainers.image.title="sightline-embedder" \
      org.opencontainers.image.description="Photos and texts to vectors, through NVIDIA Triton"
ENV EMBEDDER_HOST=0.0.0.0
EXPOSE 8601
USER 65532:65532
COPY --from=build-embedder /app /app
ENTRYPOINT ["python", "-m", "embedder"]

FROM workspace AS build-retriever
RUN --mount=type=cache,target=/root/.cache/uv \
    uv sync --locked --no-dev --no-install-workspace --package sightline-retriever --extra postgres --extra s3
COPY protos/sightline protos/sightline
COPY kit/src kit/src
COPY rules/src rules/src
COPY core/src core/src
COPY services/retriever/src services/retriever/src
RUN --mount=type=cache,target=/root/.cache/uv \
    uv sync --locked --no-dev --no-editable --package sightline-retriever --extra postgres --extra s3
RUN find /app \( -type d -name tests -o -path /app/.lock \) -prune -exec rm -r {} +

FROM runtime AS retriever
LABEL org.opencontainers.image.title="sightline-retriever" \
      org.opencontainers.image.description="The catalog and its vectors: the record in SQL, the index in Milvus"
RUN install -d -o 65532 -g 65532 /data
ENV RETRIEVER_HOST=0.0.0.0
EXPOSE 8602
USER 65532:65532
COPY --from=build-retriever /app /app
ENTRYPOINT ["python", "-m", "retriever"]

FROM workspace AS build-ranker
RUN --mount=type=cache,target=/root/.cache/uv \
    uv sync --locked --no-dev --no-install-workspace --package sightline-ranker --extra postgres --extra s3 --extra kafka
COPY protos/sightline protos/sightline
COPY kit/src kit/src
COPY rules/src rules/src
COPY core/src core/src
COPY services/ranker/src services/ranker/src
RUN --mount=type=cache,target=/root/.cache/uv \
    uv sync --locked --no-dev --no-editable --package sightline-ranker --extra postgres --extra s3 --extra kafka
RUN find /app \( -type d -name tests -o -path /app/.lock \) -prune -exec rm -r {} +

FROM runtime AS ranker-runtime
LABEL org.opencontainers.image.title="sightline-ranker" \
      org.opencontainers.image.description="Events, profiles, models, ranking and explanations"
RUN install -d -o 65532 -g 65532 /data /data/models /data/exports /data/key
ENV RANKER_HOST=0.0.0.0
EXPOSE 8603

FROM ranker-runtime AS ranker
USER 65532:65532
COPY --from=build-ranker /app /app
ENTRYPOINT ["python", "-m", "ranker"]

# LightFM is built from its source. Without the variable it would be compiled for the build
# machine's processor, and fail with SIGILL on an older one.
FROM build-ranker AS build-ranker-train
ENV LIGHTFM_NO_CFLAGS=1
RUN apt-get update && \
    apt-get install --yes --no-install-recommends gcc libc6-dev && \
    rm -rf /var/lib/apt/lists/*
RUN --mount=type=cache,target=/root/.cache/uv \
    uv sync --locked --no-dev --no-editable --package sightline-ranker --extra postgres --extra s3 --extra kafka --extra train --extra export
RUN find /app \( -type d -name tests -o -path /app/.lock \) -prune -exec rm -r {} +

# The worker, which runs trainings.
FROM ranker-runtime AS ranker-train
# OpenMP's runtime library; the compiler is not copied.
RUN apt-get update && \
    apt-get install --yes --no-install-recommends libgomp1 && \
    rm -rf /var/lib/apt/lists/*
USER 65532:65532
COPY --from=build-ranker-train /app /app
ENTRYPOINT ["python", "-m", "ranker.worker"]

FROM workspace AS build-vision
RUN --mount=type=cache,target=/root/.cache/uv \
    uv sync --locked --no-dev --no-install-workspace --package sightline-vision --extra postgres --extra s3
COPY protos/sightline protos/sightline
COPY kit/src kit/src
COPY rules/src rules/src
COPY services/vision/src services/vision/src
RUN --mount=type=cache,target=/root/.cache/uv \
    uv sync --locked --no-dev --no-editable --package sightline-vision --extra postgres --extra s3
RUN find /app \( -type d -name tests -o -path /app/.lock \) -prune -exec rm -r {} +

FROM runtime AS vision
LABEL org.opencontainers.image.title="sightline-vision" \
      org.opencontainers.image.description="Products in photos; cameras: watches, their frames and alerts, and webhooks"
RUN install -d -o 65532 -g 65532 /data
ENV VISION_HOST=0.0.0.0
EXPOSE 8605
USER 65532:65532
COPY --from=build-vision /app /app
ENTRYPOINT ["python", "-m", "vision"]

FROM workspace AS build-all
RUN --mount=type=cache,target=/root/.cache/uv \
    uv sync --locked --no-dev --no-install-workspace --package sightline-all --extra fit --extra postgres --extra s3 --extra kafka
COPY protos/sightline protos/sightline
COPY kit/src kit/src
COPY rules/src rules/src
COPY core/src core/src
COPY services/gateway/src services/gateway/src
COPY services/embedder/src services/embedder/src
COPY services/retriever/src services/retriever/src
COPY services/ranker/src services/ranker/src
COPY services/all/src services/all/src
RUN --mount=type=cache,target=/root/.cache/uv \
    uv sync --locked --no-dev --no-editable --package sightline-all --extra fit --extra postgres --extra s3 --extra kafka
RUN find /app \( -type d -name tests -o -path /app/.lock \) -prune -exec rm -r {} +

FROM runtime AS all
LABEL org.opencontainers.image.title="sightline-all" \
      org.opencontainers.image.description="The four services in one process, for small shops"
RUN install -d -o 65532 -g 65532 /data /data/models /data/exports /data/key
ENV GATEWAY_HOST=0.0.0.0 GATEWAY_HTTP_HOST=0.0.0.0 EMBEDDER_HOST=0.0.0.0 RETRIEVER_HOST=0.0.0.0 RANKER_HOST=0.0.0.0
EXPOSE 8600 8680 8601 8602 8603
USER 65532:65532
COPY --from=build-all /app /app
ENTRYPOINT ["python", "-m", "sightline_all"]

FROM workspace AS build-agents
RUN --mount=type=cache,target=/root/.cache/uv \
    uv sync --locked --no-dev --no-install-workspace --package sightline-agents
COPY protos/sightline protos/sightline
COPY client/README.md client/
COPY client/src client/src
COPY agents/README.md agents/
COPY agents/src agents/src
RUN --mount=type=cache,target=/root/.cache/uv \
    uv sync --locked --no-dev --no-editable --package sightline-agents
RUN find /app \( -type d -name tests -o -path /app/.lock \) -prune -exec rm -r {} +

FROM runtime AS agents
LABEL org.opencontainers.image.title="sightline-agents" \
      org.opencontainers.image.description="Sightline for software agents: a server of the Model Context Protocol"
ENV SIGHTLINE_AGENTS_HOST=0.0.0.0
EXPOSE 8690
USER 65532:65532
COPY --from=build-agents /app /app
ENTRYPOINT ["python", "-m", "sightline_agents"]
CMD ["http"]

FROM workspace AS build-console
RUN --mount=type=cache,target=/root/.cache/uv \
    uv sync --locked --no-dev --no-install-workspace --package sightline-console
COPY protos/sightline protos/sightline
COPY client/README.md client/
COPY client/src client/src
COPY console/README.md console/
COPY console/src console/src
RUN --mount=type=cache,target=/root/.cache/uv \
    uv sync --locked --no-dev --no-editable --package sightline-console
RUN find /app \( -type d -name tests -o -path /app/.lock \) -prune -exec rm -r {} +

FROM runtime AS console
LABEL org.opencontainers.image.title="sightline-console" \
      org.opencontainers.image.description="The web console of a Sightline suite"
ENV SIGHTLINE_CONSOLE_HOST=0.0.0.0
EXPOSE 8695
USER 65532:65532
COPY --from=build-console /app /app
ENTRYPOINT ["python", "-m", "sightline_console"]
