# The image of `npm run image`, for who has a container engine: the same files, put together by the same program.
# The project's own tests build the image without an engine, and do not build this file: what they check of it is that its last stage says the same.
#
#   docker build --build-arg BUILDER=debian:12-slim@sha256:… -t herald .
#
# BUILDER should be pinned by digest; what it holds does not get into the image. Node is pinned by package-lock.json, npm packages too; Debian's
# libraries are the ones of the builder's release, and the bill of materials names their versions.
ARG BUILDER=debian:12-slim

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
