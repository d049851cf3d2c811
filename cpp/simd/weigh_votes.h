// The weights of votes. Included by leaf_loops.cc only.

// The rule is a constant inside, so that the loop vectorises.
template <RuleKind kRule>
void weigh_scores_by(const double* scores, int64_t count, double low, double high,
                     const VoteParameters& given, double* weights) {
  if (!weighs_scores(kRule)) return;
  const VoteParameters parameters = given;
  for (int64_t k = 0; k < count; ++k) {
    weights[k] = weight_of(kRule, scores[k], low, high, parameters);
  }
}

template <int64_t... kIndices>
void weigh_scores_of(Indices<kIndices...>, RuleKind rule, const double* scores, int64_t count,
                     double low, double high, const VoteParameters& parameters, double* weights) {
  using Weigher = void (*)(const double*, int64_t, double, double, const VoteParameters&, double*);
  static constexpr Weigher kWeighers[] = {weigh_scores_by<static_cast<RuleKind>(kIndices)>...};
  kWeighers[static_cast<int>(rule)](scores, count, low, high, parameters, weights);
}
inline void weigh_scores(RuleKind rule, const double* scores, int64_t count, double low,
                         double high, const VoteParameters& parameters, double* weights) {
  weigh_scores_of(EveryRule{}, rule, scores, count, low, high, parameters, weights);
}

// Some candidates at a time meet all others, one after the other.
inline void compare_scores(const double* scores, int64_t known, int64_t count, int64_t* lower,
                           int64_t* twice) {
  constexpr int64_t kBlock = kComparedTogether;
  typedef double Scores __attribute__((vector_size(kBlock * sizeof(double))));
  typedef int64_t Counts __attribute__((vector_size(kBlock * sizeof(int64_t))));
  for (int64_t first = 0; first < count; first += kBlock) {
    const bool old = first + kBlock <= known;  // a block that is partly new begins anew
    Scores block;
    Counts lower_ones = {};
    __builtin_memcpy(&block, scores + first, sizeof(block));
    if (old) __builtin_memcpy(&lower_ones, lower + first, sizeof(lower_ones));
    for (int64_t j = old ? known : 0; j < count; ++j) {
      lower_ones = scores[j] - Scores{} < block ? lower_ones + 1 : lower_ones;
    }
    __builtin_memcpy(lower + first, &lower_ones, sizeof(lower_ones));
  }
  // Of two different scores one is lower: where no two are equal, this counts all pairs.
  int64_t pairs = 0;
  for (int64_t k = 0; k < count; ++k) {
    twice[k] = 2 * lower[k];
    pairs += lower[k];
  }
  if (pairs == count * (count - 1) / 2) return;
  for (int64_t first = 0; first < count; first += kBlock) {
    Scores block;
    Counts equals = Counts{} - 1;  // whoever meets itself is not its equal
    __builtin_memcpy(&block, scores + first, sizeof(block));
    for (int64_t j = 0; j < count; ++j) {
      equals = scores[j] - Scores{} == block ? equals + 1 : equals;
    }
    for (int64_t k = first; k < first + kBlock && k < count; ++k) twice[k] += equals[k - first];
  }
}
