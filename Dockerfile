# syntax=docker/dockerfile:1

# Two images from one build:
#   docker build --target inventory -t inventory .
#   docker build --target loadtest -t inventory-loadtest .

# The version in rust-toolchain.toml; `.ci/run` holds the two equal.
ARG RUST_VERSION=1.95.0

FROM rust:${RUST_VERSION}-slim-bookworm AS build
ARG RUST_VERSION
# The toolchain of this image, whatever rust-toolchain.toml adds to it: formatter and linter are not needed here.
ENV RUSTUP_TOOLCHAIN=${RUST_VERSION}
WORKDIR /build
COPY . .
# The cache mounts outlive the build, so a change of ours does not compile the dependencies again. What is in them is
# not in the image, which is why the binaries are copied out in the same step.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/build/target,sharing=locked \
    cargo build --release --locked --package inventory --package loadtest --bins --features inventory/otlp \
    && install -D --mode=0755 --target-directory=/out target/release/inventory target/release/loadtest \
    && install -d --mode=0700 /out/data

# Nothing but the C library and certificates: no shell, no package manager. `nonroot` is user 65532.
FROM gcr.io/distroless/cc-debian12:nonroot AS base
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
# By number, so that an orchestrator can see that it is not root.
USER 65532:65532

FROM base AS loadtest
LABEL org.opencontainers.image.title="inventory-loadtest" \
      org.opencontainers.image.description="Drives the inventory service over the wire and proves that no update was lost"
# `loadtest compare` starts servers of its own: the binary beside its own executable.
COPY --from=build /out/inventory /out/loadtest /usr/local/bin/
ENTRYPOINT ["/usr/local/bin/loadtest"]
CMD ["--help"]

# The last stage, so that a build without --target makes the service.
FROM base AS inventory
LABEL org.opencontainers.image.title="inventory" \
      org.opencontainers.image.description="An HTTP inventory service that never loses an update"
COPY --from=build /out/inventory /usr/local/bin/
# Inside a container the default, loopback, would be reachable by nobody. It does not start there without keys (INVENTORY_AUTH_FILE) unless it is told that
# whoever reaches it may do anything (INVENTORY_INSECURE_NO_AUTH=true): who may reach it is not known here.
ENV INVENTORY_LISTEN=0.0.0.0:8080
# Owned by the user the service runs as: a volume that is mounted here takes its owner from it.
COPY --from=build --chown=65532:65532 /out/data /var/lib/inventory
ENV INVENTORY_DATA_DIR=/var/lib/inventory
VOLUME ["/var/lib/inventory"]
EXPOSE 8080
# Drains what was accepted, then exits 0.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 \
    CMD ["/usr/local/bin/inventory", "healthcheck", "http://127.0.0.1:8080/readyz"]
ENTRYPOINT ["/usr/local/bin/inventory"]
CMD ["serve"]
