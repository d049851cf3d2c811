// The activation of a row of gates, times what it gates. Included by leaf_loops.cc only.

template <float (*kActivation)(float)>
void gate_elements(const float* gate, const float* up, int64_t width, float* out) {
  if (up == nullptr) {
    for (int64_t j = 0; j < width; ++j) out[j] = kActivation(gate[j]);
    return;
  }
  for (int64_t j = 0; j < width; ++j) out[j] = kActivation(gate[j]) * up[j];
}

void gate_row(GateActivation activation, const float* gate, const float* up, int64_t width,
              float* out) {
  switch (activation) {
    case GateActivation::kSilu:
      return gate_elements<silu>(gate, up, width, out);
    case GateActivation::kGelu:
      return gate_elements<gelu>(gate, up, width, out);
    default:
      return gate_elements<gelu_tanh>(gate, up, width, out);
  }
}
