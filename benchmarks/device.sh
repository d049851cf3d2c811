#!/usr/bin/env bash
# Everything that needs a GPU, in one command: build, tests, compute-sanitizer, benchmark.
#
#   benchmarks/device.sh
#
# Needs nvcc, CMake, pybind11, PyTorch, pytest and hypothesis, and no network. Builds for the GPU of
# this machine alone. Set PYTHON for another interpreter, BUILD for another folder to build in, OUT
# for another folder of logs. Ends with a table; fails when a line of it does.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

ROOT=$PWD
PYTHON=${PYTHON:-python3}
OUT=${OUT:-build/device}
BUILD=${BUILD:-$(dirname "$ROOT")/$(basename "$ROOT")-device}
mkdir -p "$OUT" "$BUILD"
OUT=$(cd "$OUT" && pwd)
BUILD=$(cd "$BUILD" && pwd)

TABLE=()
FAILED=0

# step NAME SECONDS COMMAND...: runs it into a log, notes how it went and goes on.
step() {
  local name=$1 limit=$2 begin=$SECONDS status=ok
  shift 2
  echo "== $name"
  timeout "$limit" "$@" >"$OUT/$name.log" 2>&1 || status="FAILED ($?)"
  if [[ $status != ok ]]; then
    FAILED=1
    tail -n 25 "$OUT/$name.log"
  fi
  note "$name" "$status" "$((SECONDS - begin))s" "$(tail -n 1 "$OUT/$name.log")"
}

note() {
  TABLE+=("$(printf '%-22s %-12s %5s  %s' "$1" "$2" "$3" "${4:0:90}")")
}

print_table() {
  printf '\n--- %s\n' "$(of_device 'cuda.get_device_name(), "torch", torch.__version__')"
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

begin=$SECONDS
echo "== build"
trap 'tail -n 40 "$OUT/build.log"; echo "the build failed: $OUT/build.log"' EXIT
(build) >"$OUT/build.log" 2>&1
trap - EXIT
note build ok "$((SECONDS - begin))s" "$(tail -n 1 "$OUT/build.log")"

export PYTHONPATH=$BUILD/stage PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
export XLA_PYTHON_CLIENT_PREALLOCATE=false  # JAX would take most of the device's memory

step cpp 60 "$BUILD/cuda_ops_test"
step pytest 230 "$PYTHON" -m pytest -q -p no:cacheprovider -c "$BUILD/pytest.ini" \
  --rootdir "$ROOT" tests/cuda tests/test_*.py --require-gpu
if command -v compute-sanitizer >/dev/null; then
  # A device that is not there is among the tests: the runtime's answer is no error of ours.
  step memcheck 60 compute-sanitizer --tool memcheck --report-api-errors no --error-exitcode 1 \
    "$BUILD/cuda_ops_test"
  step racecheck 60 compute-sanitizer --tool racecheck --error-exitcode 1 "$BUILD/cuda_ops_test"
  step initcheck 60 compute-sanitizer --tool initcheck --error-exitcode 1 "$BUILD/cuda_ops_test"
else
  note sanitizer "not run" 0s "compute-sanitizer is not on the PATH"
  FAILED=1
fi
step benchmark 150 "$PYTHON" benchmarks/bench_cuda.py

cat "$OUT/benchmark.log"
print_table
exit "$FAILED"
