#!/usr/bin/env bash
# Everything that needs a GPU, in one command: build, tests, benchmark, compute-sanitizer.
#
#   benchmarks/device.sh                      # all of it, in less than ten minutes
#   benchmarks/device.sh pytest benchmark     # the build and these steps alone
#
# Steps: cpp pytest benchmark memcheck racecheck initcheck forward. Needs nvcc, CMake, pybind11,
# PyTorch, transformers, pytest and hypothesis, and no network; writes nothing beside BUILD and OUT.
# Builds for the GPU of this machine alone. Set PYTHON for another interpreter, BUILD for another folder to build in, OUT
# for another folder of logs, LIMIT for other than 570 seconds. Ends with a table; fails when a line
# of it does.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

ROOT=$PWD
PYTHON=${PYTHON:-python3}
BUILD=${BUILD:-${TMPDIR:-/tmp}/stepscore-device}
OUT=${OUT:-$BUILD/logs}
LIMIT=${LIMIT:-570}
mkdir -p "$OUT" "$BUILD"
OUT=$(cd "$OUT" && pwd)
BUILD=$(cd "$BUILD" && pwd)
PATH=$PATH:${CUDA_HOME:-/usr/local/cuda}/bin:${CUDA_HOME:-/usr/local/cuda}/compute-sanitizer
export ROOT PYTHON BUILD PATH
export PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
export HYPOTHESIS_STORAGE_DIRECTORY=$BUILD/hypothesis HF_HUB_OFFLINE=1
export XLA_PYTHON_CLIENT_PREALLOCATE=false  # JAX would take most of the device's memory

CHOSEN=" ${*:-cpp pytest benchmark memcheck racecheck initcheck forward} "
TABLE=()
FAILED=0

# step NAME SECONDS COMMAND...: runs it into a log, notes how it went and goes on.
step() {
  local name=$1 limit=$2 begin=$SECONDS left=$((LIMIT - SECONDS)) status=ok
  shift 2
  if ((left < 10)); then
    fail_without_running "$name" "no time left; run it alone: benchmarks/device.sh $name"
    return
  fi
  echo "== $name"
  timeout -k 5 "$((limit < left ? limit : left))" "$@" >"$OUT/$name.log" 2>&1 ||
    status="FAILED ($?)"
  if [[ $status != ok ]]; then
    FAILED=1
    tail -n 25 "$OUT/$name.log"
  fi
  note "$name" "$status" "$((SECONDS - begin))s" "$(tail -n 1 "$OUT/$name.log")"
}

chosen() {
  [[ $CHOSEN == *" $1 "* ]]
}

fail_without_running() {
  FAILED=1
  note "$1" "not run" 0s "$2"
}

note() {
  TABLE+=("$(printf '%-12s %-12s %5s  %s' "$1" "$2" "$3" "${4:0:100}")")
}

print_table() {
  printf '\n--- %s\n' \
    "$(of_device 'cuda.get_device_name(), "torch", torch.__version__' 2>/dev/null || echo 'no GPU')"
  printf '%s\n' "${TABLE[@]}"
  echo "logs: $OUT"
}

of_device() {
  "$PYTHON" -c "import torch; cuda = torch.cuda; print($1)"
}

configure() {
  local capability generator=()
  capability=$(of_device '"{}{}".format(*cuda.get_device_capability())')
  command -v ninja >/dev/null && generator=(-G Ninja)
  cmake "${generator[@]}" -S "$ROOT" -B "$BUILD" \
    -DSTEPSCORE_CUDA_ARCHITECTURES="$capability-real" -DSTEPSCORE_BUILD_CUDA_TESTS=ON \
    -DPython_EXECUTABLE="$("$PYTHON" -c 'import sys; print(sys.executable)')" \
    -Dpybind11_DIR="$("$PYTHON" -m pybind11 --cmakedir)"
}

# The package with these modules, as an installation would look.
stage() {
  local version
  version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml | head -n 1)
  rm -rf "$BUILD/stage"
  mkdir -p "$BUILD/stage/stepscore-$version.dist-info"
  cp -R python/stepscore "$BUILD/stage/"
  rm -f "$BUILD"/stage/stepscore/*.so
  cp "$BUILD"/_core*.so "$BUILD"/_cuda*.so "$BUILD/stage/stepscore/"
  printf 'Metadata-Version: 2.1\nName: stepscore\nVersion: %s\n' "$version" \
    >"$BUILD/stage/stepscore-$version.dist-info/METADATA"
  # Other versions of the libraries than the pinned ones: their warnings are no failures here.
  printf '[pytest]\nfilterwarnings =\n    default\n' >"$BUILD/pytest.ini"
}

build() {
  configure
  cmake --build "$BUILD" --parallel "$(nproc)"
  stage
  echo "built for compute capability $(of_device 'cuda.get_device_capability()')"
}

trap print_table EXIT
export -f of_device configure stage build
step build 240 bash -euo pipefail -c build
((FAILED)) && exit 1

export PYTHONPATH=$BUILD/stage
chosen cpp && step cpp 60 "$BUILD/cuda_ops_test"
chosen pytest && step pytest 240 "$PYTHON" -m pytest -q -p no:cacheprovider \
  -c "$BUILD/pytest.ini" --rootdir "$ROOT" tests/cuda tests/test_*.py --require-gpu
chosen benchmark && step benchmark 180 "$PYTHON" benchmarks/bench_cuda.py
for tool in memcheck racecheck initcheck; do
  chosen "$tool" || continue
  if ! command -v compute-sanitizer >/dev/null; then
    fail_without_running "$tool" "compute-sanitizer is not on the PATH"
    continue
  fi
  # A device that is not there is among the tests: the runtime's answer is no error of ours.
  quiet=()
  [[ $tool == memcheck ]] && quiet=(--report-api-errors no)
  step "$tool" 90 compute-sanitizer --tool "$tool" "${quiet[@]}" --error-exitcode 1 \
    "$BUILD/cuda_ops_test"
done
chosen forward && step forward 180 "$PYTHON" benchmarks/bench_forward.py --device cuda

chosen forward && cat "$OUT/forward.log" 2>/dev/null
chosen benchmark && cat "$OUT/benchmark.log" 2>/dev/null
exit "$FAILED"
