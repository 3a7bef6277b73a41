#!/usr/bin/env bash
# Writes requirements/*.txt: every package that is installed, by version and by hash.
#
# One resolution serves all: the newest versions that run on the oldest Python we support. The
# lists hold the hashes of every file of a release, so the same list installs on x86_64 and on
# aarch64; the end of this script asks the resolver for each of them whether that is so.
# run.txt and lab.txt are cut from dev.txt, so no two lists disagree on a version.
set -euo pipefail
cd "$(dirname "$0")/.."

command -v uv >/dev/null || { echo "make lock needs uv" >&2; exit 2; }
unset PIP_FIND_LINKS PIP_EXTRA_INDEX_URL UV_FIND_LINKS UV_EXTRA_INDEX_URL UV_DEFAULT_INDEX UV_INDEX
export UV_CUSTOM_COMPILE_COMMAND="make lock"

resolve() { # PYTHON PLATFORM ARGUMENT...
  uv pip compile --quiet --python-version "$1" --python-platform "$2-manylinux_2_31" \
    --only-binary :all: --no-emit-index-url --no-emit-find-links "${@:3}"
}
lock() { # LIST ARGUMENT...
  resolve 3.11 x86_64 --upgrade --generate-hashes -o "requirements/$1.txt" pyproject.toml "${@:2}"
}
names() { grep -oE '^[a-z0-9-]+==[^ ]+' | sort; }

lock dev --extra lab --extra postgres --extra fast --group dev
lock lab --extra lab --group build --no-annotate -c requirements/dev.txt
lock run --group build --no-annotate -c requirements/dev.txt

for python in 3.11 3.12 3.13; do
  for platform in x86_64 aarch64; do
    for list in run lab dev; do
      resolve "$python" "$platform" --no-header --no-annotate "requirements/$list.txt" | names |
        diff <(names <"requirements/$list.txt") - ||
        { echo "requirements/$list.txt does not serve Python $python on $platform" >&2; exit 1; }
    done
  done
done
wc -l requirements/*.txt
