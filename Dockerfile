# The image of `npm run image`, for who has a container engine: the same files, put together by the same program.
# The project's own tests build the image without an engine, and do not build this file; they read it: its stages, what it copies, and that its last
# stage says the same as the image that they build and run (test/charts/dockerfile.test.ts).
#
#   docker build -t herald .
#
# The builder is pinned by the digest of its image index, as Docker's official images publish it (docker-library/repo-info); what it holds does not get
# into the image. For a newer one: docker buildx imagetools inspect debian:12-slim --format '{{.Manifest.Digest}}'. Node is pinned by package-lock.json,
# npm packages too; Debian's libraries are the ones of the builder's release on the day of the build, and the bill of materials names their versions.
ARG BUILDER=debian:bookworm-20260918-slim@sha256:3783cc01769c7b2b1b83a5c5ad96c815348e28ed7da68e2e3687004faa906251

FROM ${BUILDER} AS build
RUN apt-get update && apt-get install --yes --no-install-recommends nodejs npm binutils ca-certificates
WORKDIR /source
COPY . .
RUN node scripts/bootstrap.mjs scripts/image.ts --rootfs /rootfs

FROM scratch
COPY --from=build /rootfs /
ENV PATH=/usr/local/bin NODE_ENV=production HOME=/tmp
USER 65532:65532
WORKDIR /
STOPSIGNAL SIGTERM
EXPOSE 8000/tcp 8081/tcp
ENTRYPOINT ["/usr/local/bin/node", "--disable-warning=ExperimentalWarning", "/herald/dist/cli/main.js"]
CMD ["--help"]
