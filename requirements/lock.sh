#!/usr/bin/env bash
# Compiles the hashed lock files from pyproject.toml: `make lock`. They name hashes, never an index.
set -euo pipefail
cd "$(dirname "$0")/.."
compile() {
    "${LOCKER:-pip-compile}" --quiet --generate-hashes --strip-extras --allow-unsafe --no-annotate \
        --no-header --no-emit-index-url --no-emit-trusted-host --no-emit-find-links "$@"
}
compile --extra cpu --extra hub -o requirements/cpu.lock pyproject.toml requirements/build.in
compile --extra gpu --extra hub -c requirements/cpu.lock -o requirements/gpu.lock pyproject.toml requirements/build.in
compile -o requirements/demo.lock requirements/demo.in
compile --extra cpu --extra hub --extra dev -c requirements/cpu.lock -o requirements/dev.lock pyproject.toml requirements/build.in requirements/demo.in
