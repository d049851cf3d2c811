#include <cmath>

#include "bindings.h"
#include "stepscore/path_attention.h"
#include "stepscore/scalar_math.h"

namespace stepscore {
namespace {

constexpr const char* kOp = "path_attention";

HeadsView heads_of(const TensorView& view) {
  return {pointer<const float>(view), view.stride[0], view.stride[1]};
}

std::vector<KeyStore> stores_of(const TensorView& queries, const std::vector<TensorView>& keys,
                                const std::vector<TensorView>& values) {
  check(!keys.empty(), kOp, "keys", " must hold at least one store; got none");
  check(values.size() == keys.size(), kOp, "values", " must hold as many stores as keys (",
        keys.size(), "); got ", values.size());
  const int64_t size = queries.shape[2];
  std::vector<KeyStore> stores;
  for (size_t s = 0; s < keys.size(); ++s) {
    check_view(kOp, "keys", keys[s], 3, {DType::kFloat32});
    check_view(kOp, "values", values[s], 3, {DType::kFloat32});
    const int64_t key_heads = keys[0].shape[1];
    check(key_heads >= 1 && queries.shape[1] % key_heads == 0, kOp, "keys",
          " must have heads of "
          "which the ",
          queries.shape[1], " heads of queries are a multiple; got shape ", shape_of(keys[s]));
    check(keys[s].shape[1] == key_heads && keys[s].shape[2] == size, kOp, "keys",
          " must have shape [slots, ", key_heads, ", ", size,
          "] in every store, to match queries; store ", s, " has ", shape_of(keys[s]));
    check(values[s].shape[0] == keys[s].shape[0] && values[s].shape[1] == key_heads &&
              values[s].shape[2] == values[0].shape[2],
          kOp, "values", " must have shape [", keys[s].shape[0], ", ", key_heads, ", ",
          values[0].shape[2], "] in store ", s, ", to match keys; got ", shape_of(values[s]));
    stores.push_back({heads_of(keys[s]), heads_of(values[s])});
  }
  return stores;
}

std::vector<Segment> segments_of(const TensorView& segments, const std::vector<TensorView>& keys) {
  check_view(kOp, "segments", segments, 2, {DType::kInt64});
  check(segments.shape[1] == 3, kOp, "segments",
        " must have shape [n, 3], a store, a begin and a length each; got ", shape_of(segments));
  check_contiguous_rows(kOp, "segments", segments);
  std::vector<Segment> checked;
  for (int64_t i = 0; i < segments.shape[0]; ++i) {
    const int64_t* row = pointer<const int64_t>(segments) + 3 * i;
    const Segment segment{row[0], row[1], row[2]};
    check(segment.store >= 0 && segment.store < static_cast<int64_t>(keys.size()), kOp, "segments",
          "[", i, "] names store ", segment.store, "; there are ", keys.size());
    const int64_t slots = keys[static_cast<size_t>(segment.store)].shape[0];
    check(segment.begin >= 0 && segment.length >= 0 && segment.begin <= slots &&
              segment.length <= slots - segment.begin,
          kOp, "segments", "[", i, "] is ", segment.length, " tokens from slot ", segment.begin,
          " on; store ", segment.store, " has ", slots, " slots");
    checked.push_back(segment);
  }
  return checked;
}

void check_paths(const Paths& paths) {
  for (int64_t p = 0; p < paths.pieces; ++p) {
    int64_t tokens = 0;
    for (int64_t s = paths.segment_offsets[p]; s < paths.segment_offsets[p + 1]; ++s) {
      tokens += paths.segments[s].length;
    }
    const int64_t queries = paths.offsets[p + 1] - paths.offsets[p];
    check(queries <= tokens, kOp, "segments", ": the path of piece ", p, " must end with its ",
          queries, " queries; its segments have ", tokens, " tokens");
  }
}

void bound_path_attention(const TensorView& queries, const std::vector<TensorView>& keys,
                          const std::vector<TensorView>& values, const TensorView& offsets,
                          const TensorView& segments, const TensorView& segment_offsets,
                          std::optional<double> scale, std::optional<int64_t> window,
                          std::optional<double> soft_cap, const TensorView& out) {
  check_view(kOp, "queries", queries, 3, {DType::kFloat32});
  const int64_t tokens = queries.shape[0], heads = queries.shape[1], size = queries.shape[2];
  check(heads >= 1 && size >= 1, kOp, "queries", " must have heads and numbers; got shape ",
        shape_of(queries));
  const std::vector<KeyStore> stores = stores_of(queries, keys, values);
  const int64_t value_size = values[0].shape[2];
  const std::vector<Segment> parts = segments_of(segments, keys);
  const int64_t pieces = check_offsets(kOp, offsets, "queries", tokens);
  const int64_t paths_count =
      check_offsets(kOp, segment_offsets, "segments", segments.shape[0], "segment_offsets");
  check(paths_count == pieces, kOp, "segment_offsets", " must have shape [", pieces + 1,
        "], as offsets has; got ", shape_of(segment_offsets));
  const Paths paths{pointer<const int64_t>(offsets), pointer<const int64_t>(segment_offsets),
                    parts.data(), pieces};
  check_paths(paths);
  check(!window.has_value() || *window >= 1, kOp, "window",
        " must be at least 1, as a query sees itself; got ", window.value_or(0));
  check(!soft_cap.has_value() || (*soft_cap > 0.0 && *soft_cap < kInfinity), kOp, "soft_cap",
        " must be above 0 and finite; got ", soft_cap.value_or(0.0));
  const double factor = scale.value_or(1.0 / std::sqrt(static_cast<double>(size)));
  check(factor - factor == 0.0, kOp, "scale", " must be finite; got ", factor);
  check_view(kOp, "out", out, 3, {DType::kFloat32});
  check(out.shape[0] == tokens && out.shape[1] == heads && out.shape[2] == value_size, kOp, "out",
        " must have shape [", tokens, ", ", heads, ", ", value_size, "]; got ", shape_of(out));
  check(tokens == 0 || value_size == 0 ||
            ((heads == 1 || out.stride[1] == value_size) &&
             (tokens == 1 || out.stride[0] == heads * value_size)),
        kOp, "out", " must be contiguous; pass a contiguous array");
  check_apart(kOp, out, {&queries});
  for (size_t s = 0; s < keys.size(); ++s) check_apart(kOp, out, {&keys[s], &values[s]});
  const Attention attention{heads_of(queries),
                            stores.data(),
                            heads,
                            keys[0].shape[1],
                            size,
                            value_size,
                            static_cast<float>(factor),
                            window.value_or(kNoWindow),
                            static_cast<float>(soft_cap.value_or(kNoSoftCap))};
  // Only raw pointers below; the arrays belong to the caller's frame, which outlives the scope.
  py::gil_scoped_release unlocked;
  path_attention(attention, paths, pointer<float>(out));
}

}  // namespace

void bind_path_attention(py::module_& module) {
  module.def("path_attention", bound_path_attention, py::arg("queries"), py::arg("keys"),
             py::arg("values"), py::arg("offsets"), py::arg("segments"), py::arg("segment_offsets"),
             py::arg("scale").none(true), py::arg("window").none(true),
             py::arg("soft_cap").none(true), py::arg("out"));
}

}  // namespace stepscore
