// The weights of votes. Included by leaf_loops.cc only.

// The rule is a constant inside, so that the loop vectorises.
template <RuleKind kRule>
void weigh_scores_by(const double* scores, int64_t count, double low, double high,
                     const VoteParameters& given, double* weights) {
  const VoteParameters parameters = given;
  for (int64_t k = 0; k < count; ++k) {
    weights[k] = weight_of(kRule, scores[k], low, high, parameters);
  }
}

inline void weigh_scores(RuleKind rule, const double* scores, int64_t count, double low,
                         double high, const VoteParameters& parameters, double* weights) {
  switch (rule) {
    case RuleKind::kMinmaxWeighted:
      return weigh_scores_by<RuleKind::kMinmaxWeighted>(scores, count, low, high, parameters,
                                                        weights);
    case RuleKind::kSoftmaxWeighted:
      return weigh_scores_by<RuleKind::kSoftmaxWeighted>(scores, count, low, high, parameters,
                                                         weights);
    case RuleKind::kLogoddsWeighted:
      return weigh_scores_by<RuleKind::kLogoddsWeighted>(scores, count, low, high, parameters,
                                                         weights);
    case RuleKind::kLoglikWeighted:
      return weigh_scores_by<RuleKind::kLoglikWeighted>(scores, count, low, high, parameters,
                                                        weights);
    default:
      return weigh_scores_by<RuleKind::kConfidenceWeighted>(scores, count, low, high, parameters,
                                                            weights);
  }
}

// Some candidates at a time meet all others, one after the other.
inline void compare_scores(const double* scores, int64_t known, int64_t count, int64_t* lower,
                           int64_t* twice) {
  constexpr int64_t kBlock = kComparedTogether;
  typedef double Scores __attribute__((vector_size(kBlock * sizeof(double))));
  typedef int64_t Counts __attribute__((vector_size(kBlock * sizeof(int64_t))));
  for (int64_t first = 0; first < count; first += kBlock) {
    const bool old = first + kBlock <= known;  // a block that is partly new begins anew
    Scores own;
    Counts found = {};
    __builtin_memcpy(&own, scores + first, sizeof(own));
    if (old) __builtin_memcpy(&found, lower + first, sizeof(found));
    for (int64_t j = old ? known : 0; j < count; ++j) {
      found = scores[j] - Scores{} < own ? found + 1 : found;
    }
    __builtin_memcpy(lower + first, &found, sizeof(found));
  }
  // Of two different scores one is lower: where no two are equal, this counts all pairs.
  int64_t pairs = 0;
  for (int64_t k = 0; k < count; ++k) {
    twice[k] = 2 * lower[k];
    pairs += lower[k];
  }
  if (pairs == count * (count - 1) / 2) return;
  for (int64_t first = 0; first < count; first += kBlock) {
    Scores own;
    Counts found = Counts{} - 1;  // whoever meets itself is not its equal
    __builtin_memcpy(&own, scores + first, sizeof(own));
    for (int64_t j = 0; j < count; ++j) {
      found = scores[j] - Scores{} == own ? found + 1 : found;
    }
    for (int64_t k = first; k < first + kBlock && k < count; ++k) twice[k] += found[k - first];
  }
}
